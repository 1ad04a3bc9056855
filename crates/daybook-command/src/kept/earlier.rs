//! An index whose unique keys are of an earlier form, looked at before anything says that the directory is of today's: what
//! could not be done then must leave it to the program before.

use daybook_store::{Store, StoreError};

use super::{FoundIndex, KeptError, Looked, takes_writes};
use crate::group::GroupError;
use crate::keys::{self, Span};

const ROWS_MAX: usize = 500;

impl Looked {
    /// Reads what the keys are built of and in place of. An index of which that cannot be read is one to be built again.
    pub(crate) fn read_through(&mut self) -> Result<(), KeptError> {
        let FoundIndex::Open { store, .. } = &self.index else { return Ok(()) };
        let read =
            [keys::aggregates(), keys::all_unique()].into_iter().try_for_each(|span| read(store, span));
        match read {
            Ok(()) => Ok(()),
            Err(error) if error.is_damage() && takes_writes(&self.dir).is_ok() => {
                self.index = FoundIndex::Unreadable(error.to_string());
                Ok(())
            }
            Err(error) => Err(GroupError::from(error).into()),
        }
    }

    /// From here on its rows have a digest: once the directory is of today's layout, one that has none has lost it.
    pub(crate) fn note_digest(&self) -> Result<(), KeptError> {
        let FoundIndex::Open { store, .. } = &self.index else { return Ok(()) };
        store.apply(Vec::new())?;
        Ok(store.sync()?)
    }
}

fn read(store: &Store, mut span: Span) -> Result<(), StoreError> {
    while let Some((last, _)) = store.scan(&span, ROWS_MAX)?.last() {
        span.0 = [last, &[0][..]].concat();
    }
    Ok(())
}
