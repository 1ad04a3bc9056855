//! A generation that is open and followed, but not served.

use std::sync::Arc;

use projector::kernel::store::Failure;
use projector::kernel::{Checkpoint, Follower, Generation, Progress, State, StopReason};
use tokio::sync::watch;

/// A generation on its way to be served.
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) generation: Arc<Generation>,
    pub(super) follower: Follower,
    pub(super) progress: watch::Receiver<Arc<Progress>>,
    /// Whether it was compared with what is served, as far as it can be.
    pub(super) is_compared: bool,
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
    /// It has to be opened afresh, because its disk took no write, or because what it has is no longer what is wanted.
    Again(String),
    /// It will not get there in this process.
    Ended(String),
    /// Nobody is to serve it: it will never get there, or would take back what is served.
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

/// Where a candidate is whose projection stopped before it had caught up.
pub(super) fn stopped(reason: &StopReason) -> Standing {
    let why = format!("it stopped before it had caught up: {reason}");
    match reason {
        StopReason::Store(error) if error.failure == Failure::Write => Standing::Again(why),
        reason if reason.may_pass() => Standing::Waits(why),
        StopReason::Log { .. } | StopReason::Defect { .. } => Standing::Ended(why),
        _ => Standing::Unfit(why),
    }
}

#[cfg(test)]
mod tests {
    use projector::kernel::{RecordAt, SourceCheckpoint, SourceId, StoreError};

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
        let moving = Progress::start(Arc::new(checkpoint(3)));
        assert_eq!(standing(&moving, &checkpoint(4)), Standing::Behind);
    }
}
