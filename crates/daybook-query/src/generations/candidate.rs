//! A generation that is opened and followed, but not served.

use std::sync::Arc;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_projection::quarantine::{Released, SkippedEvent, leave_out, release_all, unnamed};
use daybook_projection::store::Failure;
use daybook_projection::{
    Checkpoint, Follower, Generation, GenerationError, Progress, Projection, ReadModel, ReadModelError,
    RecordAt, State, StopReason,
};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::serving::Serving;

pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) generation: Arc<Generation>,
    pub(super) follower: Follower,
    pub(super) progress: watch::Receiver<Arc<Progress>>,
    /// Whether an operator has accepted it as it is, whatever is served.
    pub(super) is_accepted: bool,
    /// From when on it is to be compared with what is served; none once it was, as far as it can be.
    pub(super) compare_at: Option<Instant>,
}

/// Where a candidate is, measured against what is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    CaughtUp,
    Behind,
    Waits(String),
    /// It has to be opened afresh: its disk took no write, an opening leaves out what stopped it, or what it has is no longer what
    /// is wanted.
    Again(String),
    /// It will not get there in this process: for a fault of the log, or of this program, but for what [`Ended::at`] says.
    Ended(Ended),
    /// Nobody is to serve it: it is damaged, contradicts what is served, or would take back what was shown.
    Rejected(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) why: String,
    /// The record that stopped it, if one did. A generation that got past it in the log as it is shows that the log is not at fault.
    pub(super) at: Option<RecordAt>,
}

#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) reached: Arc<Checkpoint>,
    pub(super) is_stopped: bool,
    /// Whether that is because the log has less than it has projected, or other partitions.
    pub(super) is_ahead_of_log: bool,
}

impl Served {
    pub(super) fn of(serving: &Serving) -> Self {
        let reached = serving.generation.checkpoint();
        match &serving.progress.borrow().state {
            State::Stopped(reason) => Self {
                reached,
                is_stopped: true,
                is_ahead_of_log: matches!(
                    **reason,
                    StopReason::LogWentBack { .. } | StopReason::PartitionsChanged { .. }
                ),
            },
            State::Building | State::Following => Self { reached, is_stopped: false, is_ahead_of_log: false },
        }
    }
}

impl Candidate {
    pub(super) fn standing(&self, served: &Served) -> Standing {
        standing(&self.progress.borrow(), self.is_accepted, served)
    }

    /// Ends when it has projected everything that `served` has, or stands still.
    pub(super) async fn settled(&self, served: &Served) -> Standing {
        let mut progress = self.progress.clone();
        let settled = |now: &Arc<Progress>| standing(now, self.is_accepted, served) != Standing::Behind;
        let Ok(now) = progress.wait_for(settled).await else {
            return Standing::Ended(Ended { why: "its follower is gone".to_owned(), at: None });
        };
        standing(&now, self.is_accepted, served)
    }
}

fn standing(now: &Progress, is_accepted: bool, served: &Served) -> Standing {
    if now.checkpoint.covers(&served.reached) {
        return Standing::CaughtUp;
    }
    // The log has no more than that, and what is served does not move: it never gets as far.
    let has_all = served.is_ahead_of_log && now.lag_total() == Some(0);
    match &now.state {
        State::Stopped(reason) => stopped(reason),
        State::Following if has_all && is_accepted => Standing::CaughtUp,
        State::Following if has_all => Standing::Waits(
            "it has all that the log has, which is less than what is served has shown, and that is stopped. It takes over once the \
             log has the rest again; to serve what the log has, run `projector --replay --accept-difference WHY`"
                .to_owned(),
        ),
        State::Following | State::Building => Standing::Behind,
    }
}

/// Where a candidate is whose projection stopped before it had caught up. What is wrong with the log, or with this program,
/// says nothing against the generation.
pub(super) fn stopped(reason: &StopReason) -> Standing {
    let why = format!("it stopped before it had caught up: {reason}");
    match (reason.failure(), reason) {
        (Some(Failure::Damage), _) => Standing::Rejected(why),
        (Some(Failure::Write), _) | (_, StopReason::QuarantineFull { .. }) => Standing::Again(why),
        _ if reason.may_pass() => Standing::Waits(why),
        _ => Standing::Ended(Ended { why, at: reason.at().cloned() }),
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error("the system gives no thread for a follower: {0}; check the limits of this process")]
    Follow(#[from] std::io::Error),
    #[error("opening it ended without a result: {0}; restart the process, and report this")]
    Task(#[from] tokio::task::JoinError),
}

impl OpenError {
    /// Whether nothing but another generation helps. All else may pass, such as a system that gives no thread.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Generation(error) if error.is_lasting())
    }

    /// Whether the generation is damaged, so that no process can serve it.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Generation(error) if error.is_damage())
    }

    /// As `/status` has it, with what helps if it does not pass: nothing can be compared with what cannot be opened.
    pub(super) fn report(&self) -> String {
        match self {
            Self::Generation(GenerationError::Store(_) | GenerationError::Lock(_)) => format!(
                "{self}. While that lasts no replay is compared with it: `projector --replay --accept-difference WHY` publishes one \
                 without"
            ),
            _ => self.to_string(),
        }
    }
}

pub(super) struct Opener<E: 'static> {
    pub(super) kafka: Kafka,
    pub(super) projection: Projection<E>,
    pub(super) holder: String,
}

impl<E: EventData + 'static> Opener<E> {
    /// Opens a generation, takes what waits in it and can be projected, and begins to follow into it. Blocks.
    pub(super) fn open(&self, read_model: &ReadModel, name: &str) -> Result<Candidate, OpenError> {
        let skipped = read_model.skipped()?;
        let generation =
            Generation::open(&read_model.path_of(name), &self.projection.layout(), &self.holder)?;
        generation.check_rows().map_err(GenerationError::from)?;
        warn_of_unnamed(&generation, &skipped);
        leave_out(&generation, self.projection, skipped).map_err(GenerationError::from)?;
        let released = release_all(&generation, self.projection).map_err(GenerationError::from)?;
        if released.projected > 0 {
            let Released { projected, waiting, .. } = released;
            tracing::info!(projected, waiting, "events that waited have been projected");
        }
        let is_accepted = generation.accepted().map_err(GenerationError::from)?.is_some();
        Ok(Candidate { is_accepted, ..self.follow(name.to_owned(), Arc::new(generation))? })
    }

    pub(super) fn follow(&self, name: String, generation: Arc<Generation>) -> std::io::Result<Candidate> {
        let follower = Follower::start(&self.kafka, generation.clone(), self.projection)?;
        let (progress, compare_at) = (follower.progress(), Some(Instant::now()));
        Ok(Candidate { name, generation, progress, follower, is_accepted: false, compare_at })
    }
}

/// What is left out here and named nowhere is back in the next generation that is built.
fn warn_of_unnamed(generation: &Generation, named: &[SkippedEvent]) {
    let unnamed = unnamed(generation.quarantine().skipped(), named).len();
    if unnamed > 0 {
        tracing::warn!(
            unnamed,
            "{} leaves out events that SKIPPED does not name: restore that file from a copy, or the next replay projects them, or has \
             them wait, and is not published without --accept-difference",
            generation.path().display()
        );
    }
}

pub(super) async fn stop(follower: Follower) {
    match spawn_blocking(move || follower.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!("the follower's last rows are not on disk, the log gives them again: {error}")
        }
        Err(error) => tracing::error!("the follower did not stop: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use daybook_event::event_data::DataError;
    use daybook_event::sequence::SequenceError;
    use daybook_projection::{RecordAt, SourceCheckpoint, SourceId, StoreError};

    use super::*;

    fn checkpoint(next_position: u64) -> Checkpoint {
        let source = SourceId { topic: "orders.events".into(), partition: 0 };
        Checkpoint::from_sources([(source, SourceCheckpoint { next_position, ..Default::default() })])
    }

    fn stopped_at_3(reason: StopReason) -> Standing {
        let progress = Progress::start(Arc::new(checkpoint(3)));
        let progress = Progress { state: State::Stopped(Arc::new(reason)), ..progress };
        let there = standing(&progress, false, &served(3, false));
        assert_eq!(there, Standing::CaughtUp, "what stops it later does not matter");
        standing(&progress, true, &served(4, true))
    }

    fn served(next_position: u64, is_ahead_of_log: bool) -> Served {
        let reached = Arc::new(checkpoint(next_position));
        Served { reached, is_stopped: is_ahead_of_log, is_ahead_of_log }
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
        assert!(matches!(stopped_at_3(store(Failure::Damage)), Standing::Rejected(_)));
        assert!(matches!(stopped_at_3(StopReason::Defect { detail: String::new() }), Standing::Ended(_)));
        let gap = SequenceError::Gap { expected: 3, found: 5, set_aside: 0 };
        let Standing::Ended(ended) = stopped_at_3(StopReason::Sequence { at: at(), error: gap }) else {
            panic!()
        };
        assert_eq!(ended.at.unwrap(), *at(), "it says where");
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
        assert_eq!(standing(&moving, true, &served(4, true)), Standing::Behind);
    }

    #[test]
    fn of_a_log_that_has_less_than_was_shown_only_what_was_accepted_is_served() {
        let progress = Progress::start(Arc::new(checkpoint(3)));
        let following = Progress { state: State::Following, ..progress };
        let ends = |end| {
            let source = SourceId { topic: "orders.events".into(), partition: 0 };
            Progress { end_offsets: Arc::new(vec![(source, end)]), ..following.clone() }
        };
        let (has_all, has_less) = (ends(0), ends(1));
        assert_eq!(standing(&has_all, true, &served(4, true)), Standing::CaughtUp);
        assert!(matches!(standing(&has_all, false, &served(4, true)), Standing::Waits(_)));
        let others =
            [(&has_all, served(4, false)), (&has_less, served(4, true)), (&following, served(4, true))];
        for (behind, served) in others {
            assert_eq!(standing(behind, true, &served), Standing::Behind, "the rest is about to come");
        }
    }
}
