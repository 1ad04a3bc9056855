//! How far other services' topics have been followed, and waiting for it.

use event_log::topics::TopicError;
use schemas::token::{Token, TokenPosition};
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::aggregate::Followed;
use super::command::Undecided;

/// Published by the follower, watched by requests.
#[derive(Debug)]
pub(crate) struct FollowedPositions {
    follows: &'static [Followed],
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// How often the store has been opened afresh.
    opening: u64,
    /// Next position per followed topic and partition; empty until the topics are known.
    next: Vec<Vec<u64>>,
    ready: bool,
    stopped: Option<String>,
    /// What is wrong with the topics, as long as it is.
    faults: Vec<TopicError>,
    quarantine: QuarantineShown,
}

impl State {
    fn not_ready(&self) -> Option<String> {
        match &self.stopped {
            Some(reason) => Some(format!("following has stopped: {reason}")),
            None if !self.ready => {
                Some("other services' topics are still being followed up to their ends".to_owned())
            }
            None => None,
        }
    }
}

/// What waits of the topics that are followed, for operators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct QuarantineShown {
    /// Aggregates of which events wait.
    pub(crate) keys: u64,
    /// Events that wait.
    pub(crate) events: u64,
    /// Some of the aggregates.
    pub(crate) first: Vec<ParkedShown>,
}

/// One aggregate of which events wait, and the first of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ParkedShown {
    pub(crate) topic: &'static str,
    pub(crate) key: Uuid,
    pub(crate) partition: i32,
    pub(crate) position: u64,
    pub(crate) event_id: Uuid,
    pub(crate) reason: String,
    pub(crate) events: u64,
}

/// Why a token's positions are not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AwaitError {
    #[error("this service does not follow topic {topic}")]
    UnknownTopic { topic: String },
    #[error("topic {topic} has no partition {partition}, but {count} from 0 on")]
    UnknownPartition { topic: String, partition: i32, count: usize },
    #[error("following has stopped: {reason}")]
    Stopped { reason: String },
}

impl FollowedPositions {
    /// A service that follows nothing is ready at once.
    pub(crate) fn new(follows: &'static [Followed]) -> Self {
        let state = State { ready: follows.is_empty(), ..State::default() };
        Self { follows, state: watch::Sender::new(state) }
    }

    /// Bare name of the topic that a table follows.
    pub(crate) fn topic(&self, table: usize) -> &'static str {
        self.follows[table].topic
    }

    /// Topics that are followed, and the number of their partitions; none before they are known.
    pub(crate) fn topics(&self) -> Vec<(&'static str, i32)> {
        let state = self.state.borrow();
        let partitions = state.next.iter().map(|next| next.len() as i32);
        self.follows.iter().map(|followed| followed.topic).zip(partitions).collect()
    }

    /// The watch: this is wrong with the topics.
    pub(crate) fn set_faults(&self, faults: Vec<TopicError>) {
        self.state.send_if_modified(|state| {
            let changed = state.faults != faults;
            state.faults = faults;
            changed
        });
    }

    pub(crate) fn set_quarantine(&self, quarantine: QuarantineShown) {
        self.state.send_modify(|state| state.quarantine = quarantine);
    }

    pub(crate) fn quarantine(&self) -> QuarantineShown {
        self.state.borrow().quarantine.clone()
    }

    /// A topic that has other partitions than those that are followed.
    pub(crate) fn misfit(&self) -> Option<TopicError> {
        let is_misfit = |fault: &&TopicError| matches!(fault, TopicError::PartitionCount { .. });
        self.state.borrow().faults.iter().find(is_misfit).cloned()
    }

    /// What is wrong with the topics although they are followed.
    pub(crate) fn trouble(&self) -> Option<String> {
        super::log_watch::sentence(&self.state.borrow().faults)
    }

    /// The follower: how far it is, on the checkpoints of this opening of the store.
    pub(crate) fn publish(&self, opening: u64, next: Vec<Vec<u64>>, ready: bool) {
        self.state.send_if_modified(|state| {
            let counts = state.opening == opening;
            if counts {
                state.next = next;
                state.ready |= ready;
            }
            counts
        });
    }

    /// How often the store has been opened afresh. What is followed rests on checkpoints of one opening.
    pub(crate) fn opening(&self) -> u64 {
        self.state.borrow().opening
    }

    /// The committer: the store was opened afresh, and may have lost what was followed last. Nothing counts as followed
    /// until the follower has begun again at the checkpoints that are there.
    pub(crate) fn begin_anew(&self) {
        self.state.send_modify(|state| {
            state.opening += 1;
            state.ready = self.follows.is_empty();
            state.next.clear();
        });
    }

    pub(crate) fn stop(&self, reason: String) {
        self.state.send_modify(|state| state.stopped = Some(reason));
    }

    /// What had stopped it is over.
    pub(crate) fn go_on(&self) {
        self.state.send_modify(|state| state.stopped = None);
    }

    /// Why the service is not ready, if it is not.
    pub(crate) fn not_ready(&self) -> Option<String> {
        self.state.borrow().not_ready()
    }

    /// Whether a decision may rest on the tables. Not before they have been followed to where the topics ended at the
    /// start: what lies there may say otherwise. If following stops before, what is known is all that there is; what is
    /// not known may be there all the same.
    pub(crate) fn decides(&self, is_known: bool) -> Result<(), Undecided> {
        let state = self.state.borrow();
        let decides = state.ready || (is_known && state.stopped.is_some());
        let reason = (!decides).then(|| state.not_ready()).flatten();
        reason.map_or(Ok(()), |reason| Err(Undecided::CatchingUp { reason }))
    }

    /// Waits until all positions of a token that concern this service have been followed.
    ///
    /// Positions of `own_topic` are there by definition: the service wrote them before it named them.
    pub(crate) async fn await_token(
        &self,
        token: &Token,
        own_topic: &str,
        follows: &[Followed],
    ) -> Result<(), AwaitError> {
        let others = token.positions.iter().filter(|at| at.topic != own_topic);
        for at in others {
            let table = follows.iter().position(|followed| followed.topic == at.topic);
            let table = table.ok_or_else(|| AwaitError::UnknownTopic { topic: at.topic.clone() })?;
            self.await_position(table, at).await?;
        }
        Ok(())
    }

    async fn await_position(&self, table: usize, at: &TokenPosition) -> Result<(), AwaitError> {
        let reached = |state: &State| {
            let Some(partitions) = state.next.get(table) else { return Ok(false) };
            match usize::try_from(at.partition).ok().and_then(|partition| partitions.get(partition)) {
                Some(next) => Ok(*next > at.position),
                // It would be waited for in vain.
                None => Err(AwaitError::UnknownPartition {
                    topic: at.topic.clone(),
                    partition: at.partition,
                    count: partitions.len(),
                }),
            }
        };
        let mut state = self.state.subscribe();
        let found = state.wait_for(|state| reached(state) != Ok(false) || state.stopped.is_some()).await;
        // The sender lives in `self`, so waiting itself cannot fail.
        let Ok(state) = found else { return Ok(()) };
        match (reached(&state)?, &state.stopped) {
            (false, Some(reason)) => Err(AwaitError::Stopped { reason: reason.clone() }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_it_catches_up_nothing_is_decided_and_after_a_stop_only_what_is_known() {
        const FOLLOWS: &[Followed] =
            &[Followed { topic: "others", service: "others", read: |_, _| Ok(None) }];
        let followed = FollowedPositions::new(FOLLOWS);
        let decides = || [true, false].map(|is_known| followed.decides(is_known).is_ok());
        assert_eq!(decides(), [false, false]);
        followed.stop("a gap".to_owned());
        assert_eq!(decides(), [true, false]);
        followed.go_on();
        assert_eq!(decides(), [false, false]);
        followed.publish(0, vec![vec![1]], true);
        assert_eq!(decides(), [true, true]);
        followed.begin_anew();
        assert_eq!(decides(), [false, false]);
        followed.publish(0, vec![vec![1]], true);
        assert_eq!(decides(), [false, false], "it rests on what the store had before");
        followed.publish(1, vec![vec![1]], true);
        assert_eq!(decides(), [true, true]);
        followed.stop("a gap".to_owned());
        assert_eq!(decides(), [true, true]);
    }
}
