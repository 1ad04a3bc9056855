//! What one command changes, or why it changes nothing.

use daybook_event::problem::Problem;
use daybook_journal::{Event, ReadError};
use daybook_store::{StoreError, VALUE_BYTES_MAX, Writes};

use crate::command::{CommandError, Outcome};
use crate::commit::seal::Sealed;
use crate::outbox::positions::Shut;
use crate::store::fields::Damaged;
use crate::store::rows::RowError;

/// What a row has besides its largest part: a key, lengths, the positions of an outcome, headers of an event.
const ROW_OVERHEAD_BYTES_MAX: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DecideError {
    /// The others go on; a damaged row is a matter of whoever needs it.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The store cannot be read, so none of them can.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Damaged> for DecideError {
    fn from(damaged: Damaged) -> Self {
        Self::Command(CommandError::Damaged { detail: damaged.to_string() })
    }
}

impl From<RowError> for DecideError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Store(error) => error.into(),
            RowError::Damaged(damaged) => damaged.into(),
            // Only idempotency keys are looked up in the journal.
            RowError::Journal(error @ ReadError::Damaged { .. }) => {
                Self::Command(CommandError::KeyUnreadable { detail: error.to_string() })
            }
            RowError::Journal(error) => Self::Command(CommandError::StoreFails { detail: error.to_string() }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) outcome: Outcome,
    /// A rejection that rests on what has not been heard of: no key keeps it, for a moment later it may be wrong.
    pub(crate) is_provisional: bool,
    /// It takes a unique key, or would if nobody had it.
    pub(super) takes_key: bool,
    pub(super) writes: Writes,
    pub(super) sealed: Sealed,
}

/// A change all of whose events go to partitions that take them, and that takes no unique key which may be another aggregate's.
#[derive(Debug)]
pub(crate) struct Admitted(Change);

impl Admitted {
    pub(super) fn into_change(self) -> Change {
        self.0
    }
}

impl Change {
    /// Refuses what would write to a partition that takes nothing at present. While the log may have what is not known here, it
    /// refuses as well what takes a unique key, and what writes nothing if a key is to keep it as the answer (`is_kept`): it
    /// may rest on what is not known.
    pub(crate) fn admit(self, shut: &Shut, is_kept: bool) -> Result<Admitted, CommandError> {
        let refused = self.sealed.counters.iter().find_map(|(partition, _)| shut.why(*partition));
        let writes_nothing = self.sealed.counters.is_empty();
        let rests_on_all = self.takes_key || (is_kept && writes_nothing);
        let refused = refused.or_else(|| shut.unknown().filter(|_| rests_on_all));
        refused.cloned().map_or(Ok(Admitted(self)), Err)
    }

    pub(super) fn rejected(problem: Problem) -> Self {
        let (writes, sealed) = (Writes::new(), Sealed::default());
        Self { outcome: Outcome::Rejected(problem), is_provisional: false, takes_key: false, writes, sealed }
    }

    pub(super) fn bytes(&self) -> usize {
        let rows = self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        rows.chain(self.sealed.events.iter().map(Event::bytes)).sum()
    }

    /// Refuses what would not fit into the store, before anything of it is written.
    pub(super) fn check_sizes(&self) -> Result<(), CommandError> {
        let rows = self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let events = self.sealed.events.iter().map(|event| event.value.len());
        let state = match &self.outcome {
            Outcome::Accepted(accepted) => accepted.state.as_ref().map_or(0, Vec::len),
            Outcome::Rejected(_) => 0,
        };
        let bytes = rows.chain(events).chain([state]).max().unwrap_or(0);
        if bytes + ROW_OVERHEAD_BYTES_MAX > VALUE_BYTES_MAX {
            Err(CommandError::TooLarge { bytes })
        } else {
            Ok(())
        }
    }
}
