//! Asks brokers again and again, beside a reader: where its partitions end, whether the log is still the one that is read, and whether
//! anybody has changed a topic. What that leads to is the owner's.

use std::time::{Duration, Instant};
use std::{io, thread};

use daybook_event::doubt::{Doubt, Doubts, Followed};
use daybook_event::envelope;
use daybook_event::place::{self, Compared, Place, Stamp};
use daybook_event::sequence::Reached;
use daybook_kafka::topics::{self, Held, OwnedRecord, TopicError, TopicWatch, Watermarks};
use daybook_kafka::{Kafka, LogError, Start};

/// Turns for each look at partitions and settings of topics, which only an operator changes.
const TURNS_PER_LOOK: u32 = 5;

/// One watcher of topics and brokers, over a connection that is kept.
pub struct BrokerMonitor {
    kafka: Kafka,
    topics: TopicWatch,
    doubts: Doubts,
    turns: u32,
}

impl BrokerMonitor {
    /// Starts a thread of this name that takes one turn after the other, until `pause`, which is called in between, returns true. It is
    /// never waited for: it owns nothing, and ends by itself soon after.
    pub fn start(
        name: &str,
        kafka: Kafka,
        mut turn: impl FnMut(&mut Self) + Send + 'static,
        pause: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<()> {
        let run = move || match Self::open(kafka) {
            // The owner's reader or writer is refused for the same reason, and reports it.
            Err(error) => tracing::debug!("topics cannot be watched: {error}"),
            Ok(mut monitor) => loop {
                turn(&mut monitor);
                monitor.turns = monitor.turns.wrapping_add(1);
                if pause() {
                    break;
                }
            },
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    fn open(kafka: Kafka) -> Result<Self, LogError> {
        let topics = TopicWatch::open(&kafka)?;
        Ok(Self { kafka, topics, doubts: Doubts::begin(Instant::now()), turns: 0 })
    }

    pub fn held<T: AsRef<str>>(&self, partitions: &[(T, i32)]) -> Result<Vec<Held>, TopicError> {
        self.topics.held(partitions)
    }

    /// What is doubtful about the logs that are followed. A log that cannot be asked is asked again in a later turn.
    pub fn doubt(&mut self, watched: &[Watched<'_>], is_over: &dyn Fn() -> bool) -> Option<String> {
        doubt(&self.kafka, watched, &mut self.doubts, is_over).unwrap_or_else(|error| {
            tracing::debug!("what was read last cannot be compared with the log: {error}");
            None
        })
    }

    /// Whether this is a turn in which topics are looked at.
    pub fn is_look_due(&self) -> bool {
        self.turns.is_multiple_of(TURNS_PER_LOOK)
    }

    /// What is wrong with topics, given how many partitions each is to have.
    pub fn check<T: AsRef<str>>(&mut self, topics: &[(T, i32)]) -> Vec<TopicError> {
        self.topics.check(topics)
    }
}

/// How long the log may take to say whether it is still the same: who looks has other things to look at.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(3);

/// A partition whose reader looks for its place.
#[derive(Debug, Clone, Copy)]
pub struct Located<'p> {
    /// Bare name of the topic.
    pub topic: &'p str,
    pub partition: i32,
    /// The only service that writes the topic.
    pub service: &'p str,
    pub reached: Reached,
    pub held: Watermarks,
}

/// Finds the place of every partition, in their order. Given up once `is_over` says so.
pub fn locate(
    kafka: &Kafka,
    partitions: &[Located<'_>],
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Place>, TopicError> {
    let compared = |of: &Located<'_>| Compared { reached: of.reached, low: of.held.low, high: of.held.high };
    place::places(partitions.iter().map(compared), |looks| {
        let start = |(index, offset): &(usize, i64)| {
            start(partitions[*index].topic, partitions[*index].partition, *offset)
        };
        let records = topics::records_at(kafka, &looks.iter().map(start).collect::<Vec<_>>(), is_over)?;
        let event =
            |((index, _), record): (&(usize, i64), Option<OwnedRecord>)| event(&partitions[*index], &record?);
        Ok(looks.iter().zip(records).map(event).collect())
    })
}

fn event(of: &Located<'_>, record: &OwnedRecord) -> Option<(u64, Stamp)> {
    let opened = envelope::open(record.value.as_deref(), || record.headers.clone()).ok()?;
    let is_ours = opened.source.service == of.service && opened.source.partition == of.partition;
    is_ours.then_some((opened.position, Stamp { id: opened.id, epoch: opened.writer_epoch }))
}

/// A partition that is followed; what is followed of it is known where it is answered for.
#[derive(Debug, Clone)]
pub struct Watched<'p> {
    /// Bare name of the topic.
    pub topic: &'p str,
    pub partition: i32,
    /// How far it was followed, and what the log holds of it.
    pub followed: Option<Followed>,
}

/// Looks whether the log is still the one that is followed; what is doubtful, with topic and partition. Takes a few seconds at most.
pub(crate) fn doubt(
    kafka: &Kafka,
    partitions: &[Watched<'_>],
    doubts: &mut Doubts,
    is_over: &dyn Fn() -> bool,
) -> Result<Option<String>, TopicError> {
    let followed: Vec<_> = partitions.iter().map(|of| of.followed.clone()).collect();
    let give_up_at = Instant::now() + DOUBT_TIMEOUT;
    let is_over = || is_over() || Instant::now() >= give_up_at;
    let found = doubts.check(Instant::now(), &followed, |looks| {
        let start = |(index, offset): &(usize, i64)| {
            start(partitions[*index].topic, partitions[*index].partition, *offset)
        };
        let records = topics::records_at(kafka, &looks.iter().map(start).collect::<Vec<_>>(), &is_over)?;
        let stamp = |record: OwnedRecord| place::stamp(record.value.as_deref(), || record.headers.clone());
        Ok::<_, TopicError>(records.into_iter().map(|record| record.and_then(stamp)).collect())
    })?;
    let said = |(index, doubt): (usize, Doubt)| {
        let Watched { topic, partition, .. } = partitions[index];
        format!("topic {} partition {partition}: {doubt}", kafka.topic_name(topic))
    };
    Ok(found.map(said))
}

fn start(topic: &str, partition: i32, offset: i64) -> Start {
    Start { topic: topic.to_owned(), partition, offset }
}
