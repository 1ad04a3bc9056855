//! Whether commands can be written at present, for those who ask.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why the store or the journal cannot be written, as long as it is so.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failure: Mutex<Option<String>>,
}

impl Health {
    /// The committer: nothing can be written.
    pub(crate) fn failed(&self, failure: String) {
        *self.lock() = Some(failure);
    }

    /// The committer: everything can be written again.
    pub(crate) fn well_again(&self) {
        *self.lock() = None;
    }

    /// Why nothing can be written.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
