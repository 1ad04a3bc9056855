//! Sabotage of the committer that takes more than a line: groups that are answered, and are in no journal yet.

use daybook_journal::Group;
use daybook_store::{Store, StoreError};

use crate::index;
use crate::keys;

/// Groups that a process which is killed has answered and forgotten. None in a build without failpoints.
#[derive(Debug, Default)]
pub(crate) struct HeldBack(Vec<Group>);

impl HeldBack {
    pub(super) fn hold(&mut self, store: &Store, group: Group) -> Result<(), StoreError> {
        let shown = index::batch(group.writes.clone()).into_iter().filter(|(key, _)| !keys::is_counter(key));
        store.apply(shown.collect())?;
        self.0.push(group);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Vec<Group> {
        std::mem::take(&mut self.0)
    }
}
