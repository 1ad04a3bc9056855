//! The comparison of one partition, at every start and whenever the relay begins anew: what the own topic ends with, and what the own store says. Pure.
//!
//! The log's last record may be a repetition of an earlier one, if a relay lost its connection just before. Then a few
//! events seem to be missing that are not; they are sent once more, which readers recognise.

use std::ops::Range;

use uuid::Uuid;

use super::recorded::Recorded;

/// The last event of a partition, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) position: u64,
    pub(crate) id: Uuid,
}

/// What the relay is to do with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// Where it goes on.
    pub(crate) sent: u64,
    /// Acknowledged events that the log has lost and gets again.
    pub(crate) lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TailError {
    #[error(
        "topic {topic} partition {partition} has events up to position {log}, the store in {dir} knows {store} event(s) of it: \
         the store is older than the log or belongs to another one; start with --recover to rebuild it from the log"
    )]
    Ahead { topic: String, partition: i32, log: u64, store: u64, dir: String },
    #[error(
        "fork in topic {topic} partition {partition}: position {position} is event {log} in the log and event {store} in the \
         store in {dir}: two stores wrote this partition; find out which one is right, then start with --recover to take the log's"
    )]
    Fork { topic: String, partition: i32, position: u64, log: Uuid, store: Uuid, dir: String },
    #[error(
        "topic {topic} partition {partition} ends before position {log}, but Kafka had acknowledged positions {from} to {to}: \
         the log has lost its end, and the outbox in {dir} does not keep those events any more; restore the topic from a replica or a \
         backup, or start with --recover to give them up"
    )]
    Lost { topic: String, partition: i32, log: u64, from: u64, to: u64, dir: String },
}

pub(crate) struct Compared<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) dir: &'a str,
}

/// What the outbox has of a partition that the log may lack.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox {
    /// Id of the event at the tail's position, if it is still kept and the log is behind the store.
    pub(crate) id: Option<Uuid>,
    /// The first positions behind the log that it does not have although Kafka had acknowledged them.
    pub(crate) lacks: Option<Range<u64>>,
}

pub(crate) fn compare(
    at: &Compared<'_>,
    recorded: &Recorded,
    tail: Option<Tail>,
    outbox: &Outbox,
) -> Result<Resume, TailError> {
    let (topic, partition, dir) = (at.topic.to_owned(), at.partition, at.dir.to_owned());
    let next = recorded.counter.next;
    let in_log = tail.map_or(0, |tail| tail.position.saturating_add(1));
    if let Some(tail) = tail.filter(|_| in_log > next) {
        return Err(TailError::Ahead { topic, partition, log: tail.position, store: next, dir });
    }
    let known_id = if in_log == next { recorded.counter.last_id } else { outbox.id };
    if let (Some(tail), Some(store)) = (tail, known_id)
        && tail.id != store
    {
        return Err(TailError::Fork { topic, partition, position: tail.position, log: tail.id, store, dir });
    }
    if let Some(lacks) = &outbox.lacks {
        let (from, to) = (lacks.start, lacks.end - 1);
        return Err(TailError::Lost { topic, partition, log: in_log, from, to, dir });
    }
    Ok(Resume { sent: in_log, lost: recorded.sent.saturating_sub(in_log) })
}
