//! A generation that is open and followed, but not served.

use std::sync::Arc;

use projector::kernel::store::Failure;
use projector::kernel::verify::unreadable_row;
use projector::kernel::{Checkpoint, Follower, Generation, Progress, State, StopReason};
use tokio::sync::watch;
use tokio::time::Instant;

/// A generation on its way to be served.
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) generation: Arc<Generation>,
    pub(super) follower: Follower,
    pub(super) progress: watch::Receiver<Arc<Progress>>,
    /// Whether somebody has accepted it as it is, whatever is served.
    pub(super) is_accepted: bool,
    /// From when on it is to be compared with what is served; none once it was, as far as it can be.
    pub(super) compare_at: Option<Instant>,
}

/// Where a candidate is, measured against what is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has projected everything that is served.
    There,
    /// It is on its way.
    Behind,
    /// It stands still for a reason that may pass.
    Waits(String),
    /// It has to be opened afresh: its disk took no write, an opening leaves out what stopped it, or what it has is no longer what
    /// is wanted.
    Again(String),
    /// It will not get there in this process, and that is no fault of its own.
    Ended(String),
    /// Nobody is to serve it: it is damaged, contradicts what is served, or would take back what was shown.
    Unfit(String),
}

impl Candidate {
    pub(super) fn standing(&self, served: &Checkpoint) -> Standing {
        standing(&self.progress.borrow(), served)
    }

    /// Ends when it has projected everything that `served` has, or stands still.
    pub(super) async fn settled(&self, served: &Checkpoint) -> Standing {
        let mut progress = self.progress.clone();
        let settled = |now: &Arc<Progress>| standing(now, served) != Standing::Behind;
        let Ok(now) = progress.wait_for(settled).await else {
            return Standing::Ended("its follower is gone".to_owned());
        };
        standing(&now, served)
    }
}

fn standing(now: &Progress, served: &Checkpoint) -> Standing {
    if now.checkpoint.covers(served) {
        return Standing::There;
    }
    let State::Stopped(reason) = &now.state else { return Standing::Behind };
    stopped(reason)
}

/// Where a candidate is whose projection stopped before it had caught up. What is wrong with the log, or with this program,
/// says nothing against the generation.
pub(super) fn stopped(reason: &StopReason) -> Standing {
    let why = format!("it stopped before it had caught up: {reason}");
    match reason {
        reason if unreadable_row(reason).is_some() => Standing::Unfit(why),
        StopReason::Store(error) if error.failure == Failure::Write => Standing::Again(why),
        StopReason::QuarantineFull { .. } => Standing::Again(why),
        reason if reason.may_pass() => Standing::Waits(why),
        _ => Standing::Ended(why),
    }
}

#[cfg(test)]
mod tests {
    use projector::kernel::{RecordAt, SourceCheckpoint, SourceId, StoreError};
    use schemas::event_data::DataError;
    use schemas::sequence::SequenceError;

    use super::*;

    fn checkpoint(next_position: u64) -> Checkpoint {
        let source = SourceId { topic: "orders.events".into(), partition: 0 };
        Checkpoint::from_sources([(source, SourceCheckpoint { next_position, ..Default::default() })])
    }

    fn stopped_at_3(reason: StopReason) -> Standing {
        let progress = Progress::start(Arc::new(checkpoint(3)));
        let progress = Progress { state: State::Stopped(Arc::new(reason)), ..progress };
        assert_eq!(
            standing(&progress, &checkpoint(3)),
            Standing::There,
            "what stops it later does not matter"
        );
        standing(&progress, &checkpoint(4))
    }

    fn store(failure: Failure) -> StopReason {
        StopReason::Store(StoreError {
            failure,
            ..StoreError::new("read", std::path::Path::new("gen-000002"), "a reason")
        })
    }

    #[test]
    fn only_what_cannot_pass_ends_a_candidate() {
        let at =
            || Box::new(RecordAt { topic: "orders.events".into(), partition: 0, offset: 3, event_id: None });
        assert!(matches!(stopped_at_3(StopReason::LogWentBack { at: at(), high: 2 }), Standing::Waits(_)));
        let log = |passes| StopReason::Log { error: "denied".to_owned(), passes };
        assert!(matches!(stopped_at_3(log(true)), Standing::Waits(_)));
        assert!(matches!(stopped_at_3(log(false)), Standing::Ended(_)));
        assert!(matches!(stopped_at_3(store(Failure::Other)), Standing::Waits(_)));
        assert!(matches!(stopped_at_3(store(Failure::Write)), Standing::Again(_)));
        assert!(matches!(stopped_at_3(store(Failure::Damage)), Standing::Unfit(_)));
        assert!(matches!(stopped_at_3(StopReason::Defect { detail: String::new() }), Standing::Ended(_)));
        let gap = SequenceError::Gap { expected: 3, found: 5 };
        assert!(matches!(stopped_at_3(StopReason::Sequence { at: at(), error: gap }), Standing::Ended(_)));
        let (found, expected) = ("carts/0".to_owned(), "orders/0".to_owned());
        let foreign = StopReason::ForeignSource { at: at(), found, expected };
        assert!(matches!(stopped_at_3(foreign), Standing::Ended(_)));
        let (key, bound) = ("a".to_owned(), "too many wait".to_owned());
        let full = StopReason::QuarantineFull { at: at(), key, bound };
        assert!(matches!(stopped_at_3(full), Standing::Again(_)), "an opening leaves out what was skipped");
        assert!(matches!(
            stopped_at_3(StopReason::UnknownEvent {
                at: at(),
                error: DataError::UnknownType { event_type: "later".to_owned() }
            }),
            Standing::Ended(_)
        ));
        let moving = Progress::start(Arc::new(checkpoint(3)));
        assert_eq!(standing(&moving, &checkpoint(4)), Standing::Behind);
    }
}
