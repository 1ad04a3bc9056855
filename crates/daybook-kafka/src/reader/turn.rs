//! Whose turn it is: the sources are read in rotation, a bounded run each.

/// Records taken from one source before the next one has its turn: long enough that a user's events come together,
/// short enough that no partition waits for long.
const RUN_RECORDS_MAX: u32 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) source: usize,
    run_left: u32,
}

impl Turn {
    pub(super) const FIRST: Turn = Turn { source: 0, run_left: RUN_RECORDS_MAX };

    /// Something was taken from this source.
    #[must_use]
    pub(super) fn taken(self) -> Turn {
        Turn { run_left: self.run_left.saturating_sub(1), ..self }
    }

    pub(super) fn is_over(self) -> bool {
        self.run_left == 0
    }

    /// The next of `sources`, of which there is at least one.
    #[must_use]
    pub(super) fn next(self, sources: usize) -> Turn {
        Turn { source: (self.source + 1) % sources, run_left: RUN_RECORDS_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_over_after_its_records_and_the_next_source_follows() {
        let mut turn = Turn::FIRST;
        for _ in 0..RUN_RECORDS_MAX {
            assert!(!turn.is_over());
            turn = turn.taken();
        }
        assert!(turn.is_over());
        assert_eq!(turn.next(2), Turn { source: 1, run_left: RUN_RECORDS_MAX });
        assert_eq!(turn.next(2).next(2), Turn::FIRST);
        assert_eq!(turn.next(1), Turn::FIRST);
    }
}
