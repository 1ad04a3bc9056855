//! A generation that is open and followed, but not served.

use std::sync::Arc;

use projector::kernel::{Checkpoint, Follower, Generation, Progress, State};

/// A generation on its way to be served.
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) generation: Arc<Generation>,
    pub(super) follower: Follower,
}

/// A generation that cannot be served.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) name: String,
    /// Whether the reason may pass.
    pub(super) again: bool,
    pub(super) reason: String,
}

impl Candidate {
    /// Ends when it has projected everything that `served` has.
    pub(super) async fn cover(&self, served: &Checkpoint) -> Result<(), Refused> {
        let mut progress = self.follower.progress();
        let settled =
            |now: &Arc<Progress>| now.checkpoint.covers(served) || matches!(now.state, State::Stopped(_));
        let Ok(now) = progress.wait_for(settled).await else {
            return Err(self.refused("its follower is gone"));
        };
        match &now.state {
            State::Stopped(reason) if !now.checkpoint.covers(served) => {
                Err(self.refused(&format!("it stopped before it had caught up: {reason}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn refused(&self, reason: &str) -> Refused {
        Refused { name: self.name.clone(), again: false, reason: reason.to_owned() }
    }
}
