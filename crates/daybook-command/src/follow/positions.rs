//! How far other services' topics have been followed, and waiting for it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use daybook_event::token::{Token, TokenPosition};
use daybook_kafka::partition_for_key;
use daybook_kafka::topics::{Held, TopicError};
use daybook_stream::{SetAside, SetAsideShown};
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use crate::command::CommandError;
use crate::health::NotReady;
use crate::references::Followed;
use crate::service::AfterError;
use crate::store::rows::Parked;

/// A partition of a followed topic: the table that follows it, and Kafka's number.
pub(crate) type TablePartition = (usize, i32);

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FollowedTo {
    pub(crate) next_position: u64,
    pub(crate) next_offset: i64,
    /// Whether it was followed to where it ended at the start.
    pub(crate) is_ready: bool,
    pub(crate) set_aside: SetAside,
    /// Right behind the event applied last.
    pub(crate) resume_offset: i64,
}

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
    /// By followed topic and partition; empty until the topics are known.
    at: Vec<Vec<FollowedTo>>,
    stopped: Option<String>,
    silent: BTreeMap<TablePartition, Silence>,
    /// What is wrong with the topics, as long as it is.
    faults: Vec<TopicError>,
    quarantine: QuarantineShown,
}

impl State {
    fn not_ready(&self, follows: usize) -> Option<NotReady> {
        match &self.stopped {
            Some(reason) => {
                Some(NotReady::new("following-stopped", format!("following has stopped: {reason}")))
            }
            None if self.is_ready(follows) => None,
            None => {
                let said = "other services' topics are still being followed up to their ends";
                Some(NotReady::new("catching-up", said.to_owned()))
            }
        }
    }

    /// Whether all is followed that can be: who is not heard keeps the others from nothing.
    fn is_ready(&self, follows: usize) -> bool {
        let all: Vec<_> = self.all().map(|(place, at)| (place, at.is_ready)).collect();
        let waits = all.iter().any(|(place, ready)| !ready && !self.is_away(*place));
        let some = all.iter().any(|(_, ready)| *ready);
        follows == 0 || (self.at.len() == follows && !waits && some)
    }

    fn all(&self) -> impl Iterator<Item = (TablePartition, &FollowedTo)> {
        let of = |(table, at): (usize, _)| (0..).zip(at).map(move |(partition, at)| ((table, partition), at));
        self.at.iter().enumerate().flat_map(of)
    }

    fn is_away(&self, place: TablePartition) -> bool {
        self.silent.get(&place).is_some_and(Silence::is_away)
    }

    /// Where the events of an aggregate lie, once the topic is known.
    fn place(&self, table: usize, id: Uuid) -> Option<TablePartition> {
        let partitions = self.at.get(table)?.len() as i32;
        (partitions > 0).then(|| (table, partition_for_key(id.to_string().as_bytes(), partitions)))
    }

    fn at(&self, (table, partition): TablePartition) -> Option<&FollowedTo> {
        self.at.get(table)?.get(usize::try_from(partition).ok()?)
    }

    /// Forgets the silence of those of which everything was read that came meanwhile.
    fn hear(&mut self) {
        let mut silent = std::mem::take(&mut self.silent);
        silent.retain(|place, silence| !self.at(*place).is_some_and(|at| silence.is_over(at.next_offset)));
        self.silent = silent;
    }
}

impl FollowedPositions {
    /// A service that follows nothing is ready at once.
    pub(crate) fn new(follows: &'static [Followed]) -> Self {
        Self { follows, state: watch::Sender::new(State::default()) }
    }

    pub(crate) fn follows(&self) -> &'static [Followed] {
        self.follows
    }

    /// Topics that are followed, and the number of their partitions; none before they are known.
    pub(crate) fn topics(&self) -> Vec<(&'static str, i32)> {
        let state = self.state.borrow();
        let partitions = state.at.iter().map(|at| at.len() as i32);
        self.follows.iter().map(|followed| followed.topic).zip(partitions).collect()
    }

    /// All partitions that are followed, and how far; none before they are known.
    pub(crate) fn places(&self) -> Vec<(TablePartition, FollowedTo)> {
        let state = self.state.borrow();
        state.all().map(|(place, at)| (place, *at)).collect()
    }

    pub(crate) fn set_aside(&self) -> Vec<SetAsideShown> {
        let shown = |((table, partition), at): (TablePartition, FollowedTo)| {
            at.set_aside.shown(self.follows[table].topic, partition, at.resume_offset)
        };
        self.places().into_iter().filter_map(shown).collect()
    }

    /// Follower and watch: what all partitions that are followed hold, or why nobody says.
    pub(crate) fn set_answers<'h>(&self, held: impl Iterator<Item = (TablePartition, &'h Held)>) {
        self.state.send_modify(|state| {
            for (place, held) in held {
                match (held, state.silent.get_mut(&place)) {
                    (Err(away), _) => {
                        drop(state.silent.insert(place, Silence { away: away.to_string(), back_at: None }))
                    }
                    (Ok(marks), Some(silence)) => silence.answered(marks.high),
                    (Ok(_), None) => {}
                }
            }
            state.hear();
        });
    }

    pub(crate) fn is_away(&self, place: TablePartition) -> bool {
        self.state.borrow().is_away(place)
    }

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

    pub(crate) fn topic_mismatch(&self) -> Option<TopicError> {
        let is_mismatch = |fault: &&TopicError| matches!(fault, TopicError::PartitionCount { .. });
        self.state.borrow().faults.iter().find(is_mismatch).cloned()
    }

    pub(crate) fn silent(&self) -> usize {
        self.state.borrow().silent.len()
    }

    /// What is wrong with the topics although they are followed.
    pub(crate) fn trouble(&self) -> Option<String> {
        let state = self.state.borrow();
        let faults = crate::log_watch::sentence(&state.faults).into_iter();
        let mut said: Vec<_> = faults.chain(state.silent.values().map(Silence::reason)).collect();
        // No broker at all is the same sentence for all of them.
        said.dedup();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// The follower: how far it is, on the checkpoints of this opening of the store.
    pub(crate) fn publish(&self, opening: u64, mut at: Vec<Vec<FollowedTo>>) {
        self.state.send_if_modified(|state| {
            let counts = state.opening == opening;
            if counts {
                for (was, is) in state.at.iter().flatten().zip(at.iter_mut().flatten()) {
                    is.is_ready |= was.is_ready;
                }
                state.at = at;
                state.hear();
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
    pub(crate) fn begin_again(&self) {
        self.state.send_modify(|state| {
            state.opening += 1;
            state.at.clear();
        });
    }

    pub(crate) fn stop(&self, reason: String) {
        self.state.send_modify(|state| state.stopped = Some(reason));
    }

    /// What had stopped it is over.
    pub(crate) fn resume(&self) {
        self.state.send_modify(|state| state.stopped = None);
    }

    pub(crate) fn not_ready(&self) -> Option<NotReady> {
        self.state.borrow().not_ready(self.follows.len())
    }

    /// Whether a decision may rest on what a table says of an aggregate. Not before its partition has been followed to where
    /// it ended at the start: what lies there may say otherwise. If following stops before, what is known to exist is all that
    /// there is; a value is none then, for one that is read again may be years old. That something is not known counts only while
    /// it would be heard of.
    pub(crate) fn decides(&self, table: usize, id: Uuid, is_known: bool) -> Result<(), CommandError> {
        let state = self.state.borrow();
        let place = state.place(table, id);
        let silence = state.stopped.clone().or_else(|| state.silent.get(&place?).map(Silence::reason));
        let is_followed = place.and_then(|place| state.at(place)).is_some_and(|at| at.is_ready);
        match (is_followed, is_known, silence) {
            (true, true, _) | (true, false, None) => Ok(()),
            (true, false, Some(reason)) => Err(CommandError::FollowingStopped { reason }),
            (false, true, Some(_)) if state.stopped.is_some() && !self.keeps_values(table) => Ok(()),
            (false, _, silence) => {
                let reason = silence.or_else(|| Some(state.not_ready(self.follows.len())?.said));
                let reason = reason.unwrap_or_else(|| "its partition is still being followed".to_owned());
                Err(CommandError::CatchingUp { reason })
            }
        }
    }

    fn keeps_values(&self, table: usize) -> bool {
        self.follows.get(table).is_some_and(|followed| followed.keeps_values)
    }

    /// Waits until all positions of a token that concern this service have been followed.
    ///
    /// Those of `own_topic` are none of its business.
    pub(crate) async fn await_token(
        &self,
        token: &Token,
        own_topic: &str,
        follows: &[Followed],
    ) -> Result<(), AfterError> {
        let others = token.positions.iter().filter(|at| at.topic != own_topic);
        for at in others {
            let table = follows.iter().position(|followed| followed.topic == at.topic);
            let table = table.ok_or_else(|| AfterError::UnknownTopic { topic: at.topic.clone() })?;
            self.await_position(table, at).await?;
        }
        Ok(())
    }

    async fn await_position(&self, table: usize, at: &TokenPosition) -> Result<(), AfterError> {
        let reached = |state: &State| {
            let Some(partitions) = state.at.get(table) else { return Ok(false) };
            match usize::try_from(at.partition).ok().and_then(|partition| partitions.get(partition)) {
                Some(is) => Ok(is.next_position > at.position),
                // It would be waited for in vain.
                None => Err(AfterError::UnknownPartition {
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
            (false, Some(reason)) => Err(AfterError::Stopped { reason: reason.clone() }),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct QuarantineShown {
    pub(crate) keys: u64,
    pub(crate) events: u64,
    pub(crate) first: Vec<ParkedShown>,
}

/// One aggregate of which events wait, and the first of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ParkedShown {
    pub(crate) topic: &'static str,
    pub(crate) key: Uuid,
    #[serde(flatten)]
    pub(crate) parked: Parked,
    pub(crate) events: u64,
}

/// A partition that was not answered for, until what came meanwhile has been read.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    away: String,
    /// Where it ended when it was answered for again.
    back_at: Option<i64>,
}

impl Silence {
    /// It is answered for again, and it ends at `high`. What comes later is as late as it ever is; a log that has lost its
    /// end has nothing up to where it was.
    pub(crate) fn answered(&mut self, high: i64) {
        self.back_at = Some(self.back_at.map_or(high, |before| before.min(high)));
    }

    pub(crate) fn is_away(&self) -> bool {
        self.back_at.is_none()
    }

    /// Whether everything was read that came meanwhile.
    pub(crate) fn is_over(&self, next_offset: i64) -> bool {
        self.back_at.is_some_and(|back_at| next_offset >= back_at)
    }

    pub(crate) fn reason(&self) -> String {
        match self.back_at {
            None => self.away.clone(),
            Some(back_at) => {
                format!("it is answered for again, and not yet read up to offset {back_at}: {}", self.away)
            }
        }
    }
}
