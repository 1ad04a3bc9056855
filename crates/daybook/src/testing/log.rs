//! Events as they lie in the log, with what a log can do to them.

use std::borrow::Cow;
use std::time::Duration;

use daybook_event::Event;
use daybook_event::envelope::{Envelope, Source, seal};
use daybook_kafka::{Kafka, Outgoing, SendError, Writer, partition_for_key};
use daybook_projection::{Checkpoint, Projection};
use jiff::Timestamp;
use uuid::Uuid;

/// Partitions of each topic of a history: so that there is something to be interleaved.
pub const PARTITIONS: i32 = 3;
/// How long the embedded broker may take for a few events.
const DEADLINE: Duration = Duration::from_secs(60);

/// A record of one of the partitions, which are counted as [`Checkpoint::sources`] has them.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) source: usize,
    pub(super) offset: i64,
    pub(super) key: String,
    pub(super) value: Vec<u8>,
}

/// Numbers that look random, the same at each run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// Below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        // Xorshift, as Marsaglia gave it.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

/// Nothing of the topics.
pub(super) fn zero<E>(projection: Projection<E>) -> Checkpoint {
    Checkpoint::zero(projection.topics.iter().map(|topic| (topic.name, PARTITIONS)))
}

/// Events as their services would write them, in this order.
pub(super) fn written<E: Event>(projection: Projection<E>, events: &[E]) -> Vec<Record> {
    let start = zero(projection);
    let mut next = vec![0_u64; start.sources().len()];
    let record = |event: &E| {
        let of = |prefix: &&str| event.event_type().starts_with(prefix);
        let topic = E::TOPICS[E::PREFIXES.iter().position(of).expect("each type is of a topic")];
        let key = event.key().to_string();
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        let is_its = |(id, _): (&daybook_projection::SourceId, _)| {
            &*id.topic == topic.name && id.partition == partition
        };
        let source = start.sources().position(is_its).expect("the projection reads the topics of its events");
        let position = next[source];
        next[source] += 1;
        let id = Uuid::from_u128(7 << 100 | (source as u128) << 64 | u128::from(position));
        let value = sealed(event, &Source { service: topic.service.into(), partition }, position, id);
        Record { source, offset: i64::try_from(position).expect("few events"), key, value }
    };
    events.iter().map(record).collect()
}

fn sealed(event: &impl Event, source: &Source<'_>, position: u64, id: Uuid) -> Vec<u8> {
    let time = 1_700_000_000_000_000 + i64::try_from(position).expect("few events") * 1_000;
    let envelope = Envelope {
        writer_epoch: 0,
        previous_id: None,
        id,
        source: source.clone(),
        event_type: event.event_type().into(),
        subject: event.key(),
        time: Timestamp::from_microsecond(time).expect("a time of our days"),
        position,
        aggregate_version: 1,
        correlation_id: id,
        causation_id: id,
        traceparent: None,
        data: Cow::Owned(event.to_data().expect("an event is written as JSON")),
    };
    seal(&envelope).expect("an envelope is written as JSON")
}

/// Some records are there again later, as a relay leaves them that lost its connection.
pub(super) fn duplicated(records: &[Record], dice: &mut Dice) -> Vec<Record> {
    let mut again: Vec<Record> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        again.push(record.clone());
        if dice.roll(2) == 0 {
            again.push(records[dice.roll(index + 1)].clone());
        }
    }
    let mut next = std::collections::BTreeMap::<usize, i64>::new();
    for record in &mut again {
        let offset = next.entry(record.source).or_default();
        record.offset = *offset;
        *offset += 1;
    }
    again
}

/// The partitions in another order; what is in one of them stays in its own.
pub(super) fn interleaved(records: &[Record], dice: &mut Dice) -> Vec<Record> {
    let mut partitions: Vec<Vec<Record>> = Vec::new();
    for record in records.iter().rev() {
        match partitions.iter_mut().find(|partition| partition[0].source == record.source) {
            Some(partition) => partition.push(record.clone()),
            None => partitions.push(vec![record.clone()]),
        }
    }
    let mut other = Vec::with_capacity(records.len());
    while !partitions.is_empty() {
        let chosen = dice.roll(partitions.len());
        other.extend(partitions[chosen].pop());
        partitions.retain(|partition| !partition.is_empty());
    }
    other
}

/// Sends records to a broker that has the topics.
pub(super) fn send<E>(kafka: &Kafka, projection: Projection<E>, records: &[Record]) {
    let start = zero(projection);
    let sources: Vec<_> = start.sources().map(|(id, _)| id).collect();
    let writer = Writer::open(kafka, |delivery| assert!(delivery.result.is_ok())).expect("a producer");
    for Record { source, key, value, .. } in records {
        let (topic, partition) = (&*sources[*source].topic, sources[*source].partition);
        let record = Outgoing { topic, partition, key: key.as_bytes(), value, headers: &[], tag: 0 };
        while let Err(error) = writer.send(record) {
            assert!(matches!(error, SendError::QueueFull), "{error}");
            std::thread::yield_now();
        }
    }
    writer.flush(DEADLINE).expect("the embedded broker takes what it is sent");
}
