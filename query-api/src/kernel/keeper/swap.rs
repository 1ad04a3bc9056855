//! How a candidate takes over from what is served, without an answer that goes back in time.
//!
//! It is followed until it has projected whatever the served generation has; then the served one's follower is stopped, so that
//! it moves no further, and only when the candidate has reached that very place requests are sent to it. Requests in between
//! are answered from the old generation, those that wait for a token go on waiting. If anything fails on the way, the old one
//! is followed again and stays.

use std::sync::Arc;

use schemas::event_data::EventData;
use tokio::time::timeout;

use super::Keeper;
use super::candidate::{Candidate, Standing};
use super::next::Next;
use super::opener::stop;
use crate::kernel::limits::SWAP_TIMEOUT;
use crate::kernel::serving::Serving;
use crate::kernel::stop_signal::StopSignal;

/// Why a candidate must not take over although it has got as far: it would take back what was shown, or one of the two does not
/// say what the log says. The served one no longer moves.
fn contradiction(candidate: &Candidate, served: &Serving) -> Option<Standing> {
    let (new, old) = (candidate.generation.last_moment(), served.generation.last_moment());
    if let Err(key) = new.quarantine.covers(&old.quarantine, &old.checkpoint) {
        // Released or left out there meanwhile: whoever opens it again does the same.
        return Some(Standing::Again(format!(
            "events of key {key} wait in it, and have been projected in {}",
            served.name
        )));
    }
    let same_place =
        old.checkpoint.covers(&new.checkpoint) && old.quarantine.keys().eq(new.quarantine.keys());
    // An older one is a rollback, and somebody's wish.
    if !same_place || new.digest == old.digest || candidate.name < served.name {
        return None;
    }
    match candidate.generation.accepted() {
        Ok(Some(_)) => None,
        Ok(None) => Some(Standing::Ended(format!(
            "its rows have digest {}, those of {} at the same place {}: one of the two is damaged; `projector --verify` says \
             which",
            new.digest, served.name, old.digest
        ))),
        Err(error) => Some(Standing::Again(error.to_string())),
    }
}

impl<E: EventData + 'static> Keeper<E> {
    /// Serves the candidate, if there is one and it has got as far as what is served.
    pub(super) async fn judge(&mut self, stopped: &StopSignal) {
        let Some(candidate) = self.next.as_mut().and_then(Next::take_candidate) else { return };
        let Some(served) = self.api.serving_now() else { return self.serve(candidate) };
        match candidate.standing(&served.generation.checkpoint()) {
            Standing::There => self.swap(candidate, &served, stopped).await,
            standing => self.leave(candidate, standing).await,
        }
    }

    /// Keeps the served generation from moving, until the candidate is where that one is.
    async fn swap(&mut self, candidate: Candidate, served: &Arc<Serving>, stopped: &StopSignal) {
        if let Some(follower) = self.follower.take() {
            stop(follower).await;
        }
        let reached = served.generation.checkpoint();
        let standing = tokio::select! {
            settled = timeout(SWAP_TIMEOUT, candidate.settled(&reached)) => settled.unwrap_or(Standing::Behind),
            () = stopped.requested() => Standing::Behind,
        };
        match standing {
            Standing::There => match contradiction(&candidate, served) {
                None => return self.serve(candidate),
                Some(standing) => self.leave(candidate, standing).await,
            },
            Standing::Behind => {
                let why = "it did not catch up in time with what is served".to_owned();
                self.leave(candidate, Standing::Again(why)).await;
            }
            standing => self.leave(candidate, standing).await,
        }
        self.follow_again();
    }

    /// The candidate is not served now.
    async fn leave(&mut self, candidate: Candidate, standing: Standing) {
        let Some(next) = &mut self.next else { return };
        match standing {
            Standing::There | Standing::Behind => next.catch_up(candidate),
            Standing::Waits(why) => next.wait(candidate, why),
            Standing::Again(why) => {
                next.failed(why);
                stop(candidate.follower).await;
            }
            Standing::Ended(why) => {
                next.refuse(why);
                stop(candidate.follower).await;
            }
        }
    }
}
