//! Where the log ends, against the own journal: at every start, and whenever the log may have changed. What the journal says of
//! each partition, what the log ends with, and what the relay is to do.

use std::ops::Range;
use std::sync::Arc;

use daybook_event::sequence::Reached;
use daybook_journal::{Events, Mark, PartitionState, ReadError, Reader};
use daybook_kafka::topics::TopicError;
use daybook_kafka::{Kafka, LogError};
use daybook_stream::SetAsideNotes;
use uuid::Uuid;

use crate::fencing::{OwnLog, WholeLog};
use crate::incoming::IncomingError;
use crate::store::rows::Counter;

const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("{0}")]
    Topic(#[from] TopicError),
    #[error("what the log ends with cannot be compared with the journal: {}{}", .0, remedy(.0))]
    Journal(#[from] ReadError),
    #[error(transparent)]
    Incoming(#[from] IncomingError),
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

fn remedy(error: &ReadError) -> &'static str {
    match error {
        ReadError::Damaged { .. } => REMEDY,
        ReadError::Io { .. } => "",
    }
}

impl From<LogError> for CompareError {
    fn from(error: LogError) -> Self {
        Self::Topic(error.into())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct OwnTopic {
    pub(crate) kafka: Kafka,
    pub(crate) topic: &'static str,
    pub(crate) service: &'static str,
    pub(crate) partitions: i32,
    /// The service's directory, for what an error says.
    pub(crate) dir: String,
    /// Records in it that are no events of the service.
    pub(crate) set_aside: Arc<SetAsideNotes>,
}

impl OwnTopic {
    pub(crate) fn full_name(&self) -> String {
        self.kafka.topic_name(self.topic)
    }

    /// A directory without a store has no business with a topic that has events.
    pub(crate) fn refuse_to_begin(&self, log: &WholeLog<'_>) -> Result<(), CompareError> {
        let nothing = Recorded { counter: Counter::default(), sent: 0, kept_from: 0 };
        let topic = self.full_name();
        for (partition, tail) in (0..).zip(log.tails()) {
            compare(
                &Compared { topic: &topic, partition, dir: &self.dir },
                &nothing,
                tail,
                &Outbox::default(),
            )?;
        }
        Ok(())
    }

    /// Compares journal and log, of which `recorded` is what is known, without changing anything. Of partitions that nobody
    /// answers for there is nothing to compare.
    pub(crate) fn compare(
        &self,
        journal: &Reader,
        recorded: Vec<Recorded>,
        log: &OwnLog,
    ) -> Result<Vec<Option<(Recorded, Resume)>>, CompareError> {
        self.each(journal, recorded, log).map(Option::transpose).collect()
    }

    /// The same one by one: what does not fit in one partition says nothing of the others. Of what is known not to fit, there
    /// is nothing to compare.
    fn each(
        &self,
        journal: &Reader,
        recorded: Vec<Recorded>,
        log: &OwnLog,
    ) -> impl Iterator<Item = Option<Result<(Recorded, Resume), CompareError>>> {
        let topic = self.full_name();
        (0..self.partitions).zip(recorded).map(move |(partition, recorded)| {
            let at = log.fit(partition)?;
            let here = Compared { topic: &topic, partition, dir: &self.dir };
            let outbox = outbox(journal, partition as usize, &recorded, at.tail());
            let outbox = outbox.map_err(CompareError::from);
            let resume = outbox.and_then(|outbox| compare(&here, &recorded, at.tail(), &outbox));
            Some(resume.map(|resume| (recorded, resume)))
        })
    }

    /// Compares journal and log, and notes in `log` which partitions have diverged.
    ///
    /// # Errors
    /// Only those of the disk, which are about none in particular.
    pub(crate) fn judge(
        &self,
        journal: &Reader,
        log: &mut OwnLog,
    ) -> Result<Vec<Option<(Recorded, Resume)>>, CompareError> {
        let compared: Vec<_> = self.each(journal, recorded(journal), log).collect();
        let compared = (0..).zip(compared).map(|(partition, compared)| match compared.transpose() {
            Err(error @ CompareError::Journal(ReadError::Io { .. })) => Err(error),
            Err(error) => {
                log.diverged.insert(partition, error);
                Ok(None)
            }
            compared => compared,
        });
        compared.collect()
    }

    /// Per partition: the positions that the log has, which the relay goes on behind; none of those that nobody answers for, or
    /// that do not fit. Says loudly what the log has lost, and tells the journal what is to be sent again, and where the last
    /// event lies: the next comparison begins there.
    pub(crate) fn resume(
        &self,
        journal: &Reader,
        log: &mut OwnLog,
    ) -> Result<Vec<Option<u64>>, CompareError> {
        let compared = self.judge(journal, log)?;
        let topic = self.full_name();
        for (partition, compared) in (0..).zip(&compared) {
            if let (Some(at), Some((recorded, resume))) = (log.fit(partition), compared) {
                tell(&topic, partition, recorded, *resume);
                let reached = at.state.reached();
                journal.sent(partition as usize, resume.sent, reached.last_id.map(|_| mark(&reached)));
            }
        }
        Ok(compared.iter().map(|compared| compared.as_ref().map(|(_, resume)| resume.sent)).collect())
    }
}

/// What is compared with the end of a partition. Where the log has all, nothing of the journal is needed.
fn outbox(
    journal: &Reader,
    partition: usize,
    recorded: &Recorded,
    tail: Option<Tail>,
) -> Result<Outbox, ReadError> {
    let (next, in_log) = (recorded.counter.next, tail.map_or(0, |tail| tail.position.saturating_add(1)));
    if in_log >= next {
        return Ok(Outbox::default());
    }
    let id = match tail.map(|tail| kept_id(journal, partition, tail.position)) {
        // Kafka acknowledged it to this very journal.
        Some(Err(_)) if recorded.sent >= in_log => None,
        kept => kept.transpose()?.flatten(),
    };
    // Of what Kafka never had, the relay says what is missing.
    let had = recorded.sent.max(recorded.kept_from).min(next).max(in_log);
    Ok(Outbox { id, lacks: journal.missing(partition, in_log..had).into_iter().next() })
}

fn tell(topic: &str, partition: i32, recorded: &Recorded, resume: Resume) {
    if resume.lost > 0 {
        tracing::warn!(
            topic,
            partition,
            from_position = resume.sent,
            to_position = recorded.sent - 1,
            "the log has lost its end, which Kafka had acknowledged; the events are sent again from the outbox"
        );
    }
}

// The comparison of one partition, at every start and whenever the relay begins again: what the own topic ends with, and what the own store says. Pure.
//
// The log's last record may be a repetition of an earlier one, if a relay lost its connection just before. Then a few
// events seem to be missing that are not; they are sent once more, which readers recognise.

/// The last event of a partition, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) position: u64,
    pub(crate) id: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) sent: u64,
    /// Acknowledged events that the log has lost and gets again.
    pub(crate) lost: u64,
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
) -> Result<Resume, CompareError> {
    let (topic, partition, dir) = (at.topic.to_owned(), at.partition, at.dir.to_owned());
    let next = recorded.counter.next;
    let in_log = tail.map_or(0, |tail| tail.position.saturating_add(1));
    if let Some(tail) = tail.filter(|_| in_log > next) {
        return Err(CompareError::Ahead { topic, partition, log: tail.position, store: next, dir });
    }
    let known_id = if in_log == next { recorded.counter.last_id } else { outbox.id };
    if let (Some(tail), Some(store)) = (tail, known_id)
        && tail.id != store
    {
        return Err(CompareError::Fork {
            topic,
            partition,
            position: tail.position,
            log: tail.id,
            store,
            dir,
        });
    }
    if let Some(lacks) = &outbox.lacks {
        let (from, to) = (lacks.start, lacks.end - 1);
        return Err(CompareError::Lost { topic, partition, log: in_log, from, to, dir });
    }
    Ok(Resume { sent: in_log, lost: recorded.sent.saturating_sub(in_log) })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) counter: Counter,
    /// Positions that Kafka acknowledged, as far as it was noted.
    pub(crate) sent: u64,
    /// First position that the journal still has the event of; the counter's next if there is none.
    pub(crate) kept_from: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Recalled {
    events: Events,
    index: usize,
}

impl std::ops::Deref for Recalled {
    type Target = daybook_journal::Event;

    fn deref(&self) -> &Self::Target {
        &self.events[self.index]
    }
}

pub(crate) fn counters(journal: &Reader) -> Vec<Counter> {
    journal.partitions().iter().map(counter).collect()
}

fn counter(state: &PartitionState) -> Counter {
    Counter { next: state.next, last_id: state.last_id }
}

pub(crate) fn recorded(journal: &Reader) -> Vec<Recorded> {
    let of = |(partition, state): (usize, &PartitionState)| {
        let kept_from = journal.kept_from(partition).unwrap_or(state.next).min(state.next);
        Recorded { counter: counter(state), sent: state.acknowledged, kept_from }
    };
    journal.partitions().iter().enumerate().map(of).collect()
}

/// Events of one partition from the one at `from` on, up to before `to`: those that lie in one record. None if there is no
/// event at `from`.
pub(crate) fn events_from(
    journal: &Reader,
    partition: usize,
    from: u64,
    to: u64,
) -> Result<Vec<Recalled>, ReadError> {
    let Some(events) = journal.events(partition, from)? else { return Ok(Vec::new()) };
    let mut next = from;
    let mut run = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if event.partition as usize == partition && event.position == next && next < to {
            run.push(Recalled { events: Events::clone(&events), index });
            next += 1;
        }
    }
    Ok(run)
}

pub(crate) fn kept_id(journal: &Reader, partition: usize, position: u64) -> Result<Option<Uuid>, ReadError> {
    let run = events_from(journal, partition, position, position + 1)?;
    Ok(run.first().map(|event| event.id))
}

/// How far the log is known to be the own one, per partition: right behind the event that was marked last.
pub(crate) fn marks(journal: &Reader) -> Vec<Reached> {
    let of = |state: &PartitionState| {
        let Mark { offset, epoch, next_position, last_id } = state.mark;
        Reached { offset, epoch, next_position, last_id, log_id: None }
    };
    journal.partitions().iter().map(of).collect()
}

pub(crate) fn mark(reached: &Reached) -> Mark {
    let Reached { offset, epoch, next_position, last_id, log_id: _ } = *reached;
    Mark { offset, epoch, next_position, last_id }
}
