//! What is asked of a follower from outside: events that wait are to be released or left out. The follower does it itself,
//! because it is the one writer of its generation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use daybook_event::event_data::EventData;

use crate::generation::Generation;
use crate::projection::Projection;
use crate::quarantine::{ReleaseError, Released, SkippedEvent, leave_out, release};

/// Requests that wait for the follower; past it they are refused.
const REPAIRS_WAITING_MAX: usize = 16;

#[derive(Debug, Clone)]
pub enum Repair {
    Release(String),
    LeaveOut(Vec<SkippedEvent>),
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error(
        "the projection did not take it up in time, because it is at other work; no row was changed, try again"
    )]
    NotTaken,
}

type Answer = Result<Released, ReleaseError>;

pub(super) struct RepairRequest {
    repair: Repair,
    /// By whichever side comes first: begun by the follower, or given up by the caller.
    claimed: Arc<AtomicBool>,
    answer: SyncSender<Answer>,
}

/// Asks one follower. Clones speak to the same one.
#[derive(Clone)]
pub struct Repairs(SyncSender<RepairRequest>);

pub(super) struct RepairQueue(Receiver<RepairRequest>);

pub(super) fn repairs() -> (Repairs, RepairQueue) {
    let (sender, receiver) = sync_channel(REPAIRS_WAITING_MAX);
    (Repairs(sender), RepairQueue(receiver))
}

impl Repairs {
    /// Asks, and waits until it is done; `wait` bounds how long the follower may take to begin.
    /// Errors: [`RepairError`]; nothing was changed then.
    pub fn ask(&self, repair: Repair, wait: Duration) -> Result<Released, RepairError> {
        let (answer, answered) = sync_channel(1);
        let claimed = Arc::new(AtomicBool::new(false));
        let request = RepairRequest { repair, claimed: claimed.clone(), answer };
        self.0.try_send(request).map_err(|_| RepairError::NotTaken)?;
        match answered.recv_timeout(wait) {
            Ok(answer) => Ok(answer?),
            Err(RecvTimeoutError::Timeout) if claimed.swap(true, Ordering::AcqRel) => {
                // It has begun.
                Ok(answered.recv().map_err(|_| RepairError::NotTaken)??)
            }
            Err(_) => Err(RepairError::NotTaken),
        }
    }
}

impl RepairQueue {
    /// The next request whose caller still waits.
    pub(super) fn next(&self) -> Option<RepairRequest> {
        self.0.try_iter().find(|request| !request.claimed.swap(true, Ordering::AcqRel))
    }
}

impl RepairRequest {
    /// Does it; returns whether that may have changed anything. Everything must be committed before, and read again afterwards.
    pub(super) fn answer<E: EventData>(self, generation: &Generation, projection: Projection<E>) -> bool {
        let answer = match self.repair {
            Repair::Release(key) => release(generation, projection, &key),
            Repair::LeaveOut(events) => leave_out(generation, projection, events).map_err(ReleaseError::from),
        };
        // What failed with the store may be done in part, or all of it and only the sync failed.
        let changed = matches!(answer, Ok(_) | Err(ReleaseError::Store(_)));
        // The caller may be gone.
        let _gone = self.answer.send(answer);
        changed
    }
}
