//! A log in memory, and the rows that follow from it. Of the events of `crate::domain`, whichever that is: the tests of a
//! program with a domain of its own include this file.

use std::collections::BTreeMap;
use std::path::Path;

use daybook_event::envelope::{Envelope, Source, seal};
use daybook_event::{Event as _, EventData};
use daybook_kafka::partition_for_key;
use daybook_projection::engine::{Engine, Incoming, Limits};
use daybook_projection::{Checkpoint, Digest, Generation, GenerationError, Projection, StopReason};
use jiff::Timestamp;
use uuid::Uuid;

use crate::broker::until;
use crate::domain::{self, Happened};

pub(crate) const PARTITIONS: i32 = 2;
/// Everybody in these tests.
pub(crate) const HOLDER: &str = "a test";

/// A topic's partition, as sources are counted: by topic, then partition.
pub(crate) type SourceIndex = usize;

/// A record of the log in memory.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) source: SourceIndex,
    pub(crate) offset: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Records in the order of writing, with contiguous offsets per partition.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    positions: BTreeMap<SourceIndex, u64>,
    offsets: BTreeMap<SourceIndex, i64>,
}

pub(crate) fn zero() -> Checkpoint {
    let topics = domain::projection().topics;
    Checkpoint::zero(topics.iter().map(|topic| (topic.name, PARTITIONS)))
}

pub(crate) fn topic_and_partition(source: SourceIndex) -> (String, i32) {
    let checkpoint = zero();
    let (id, _) = checkpoint.sources().nth(source).unwrap();
    (id.topic.to_string(), id.partition)
}

pub(crate) fn source_of(event: &Happened) -> SourceIndex {
    let partition = partition_for_key(event.key().to_string().as_bytes(), PARTITIONS);
    zero()
        .sources()
        .position(|(id, _)| &*id.topic == domain::topic_of(event) && id.partition == partition)
        .unwrap()
}

impl Log {
    /// Writes an event as its service would.
    pub(crate) fn write(&mut self, event: &Happened) -> Record {
        let source = source_of(event);
        let position = self.positions.entry(source).or_default();
        let value = sealed(event, source, *position);
        *position += 1;
        self.write_value(source, event.key(), value)
    }

    pub(crate) fn write_value(&mut self, source: SourceIndex, key: Uuid, value: Vec<u8>) -> Record {
        let offset = self.offsets.entry(source).or_default();
        let record = Record { source, offset: *offset, key: key.to_string().into_bytes(), value };
        *offset += 1;
        self.records.push(record.clone());
        record
    }

    /// Writes an earlier record again, as a relay does that lost its connection.
    pub(crate) fn repeat(&mut self, index: usize) {
        let Record { source, key, value, .. } = self.records[index].clone();
        let key = Uuid::try_parse_ascii(&key).unwrap();
        self.write_value(source, key, value);
    }

    /// The records of every partition by themselves.
    pub(crate) fn by_source(&self) -> BTreeMap<SourceIndex, Vec<Record>> {
        let mut sources = BTreeMap::<_, Vec<_>>::new();
        for record in &self.records {
            sources.entry(record.source).or_default().push(record.clone());
        }
        sources
    }
}

/// An event at a position, with an id and a time that follow from the place.
pub(crate) fn sealed(event: &Happened, source: SourceIndex, position: u64) -> Vec<u8> {
    let (topic, partition) = topic_and_partition(source);
    let service = topic.trim_end_matches(".events").to_owned();
    sealed_as(event, &Source { service: service.into(), partition }, position, event_id(source, position))
}

pub(crate) fn event_id(source: SourceIndex, position: u64) -> Uuid {
    Uuid::from_u128((source as u128) << 64 | u128::from(position) | 7 << 100)
}

pub(crate) fn sealed_as(event: &impl EventData, source: &Source<'_>, position: u64, id: Uuid) -> Vec<u8> {
    seal(&Envelope {
        writer_epoch: 0,
        previous_id: None,
        id,
        source: source.clone(),
        event_type: event.event_type().into(),
        subject: Uuid::from_u128(1),
        time: Timestamp::from_microsecond(1_700_000_000_000_000 + position as i64 * 1_000).unwrap(),
        position,
        aggregate_version: 1,
        correlation_id: Uuid::from_u128(2),
        causation_id: Uuid::from_u128(3),
        traceparent: None,
        data: std::borrow::Cow::Owned(event.to_data().unwrap()),
    })
    .unwrap()
}

/// Numbers that look random and are the same in every run (the generator is splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.roll(u64::MAX), self.roll(u64::MAX))
    }
}

/// An empty, finished generation.
pub(crate) fn fresh(path: &Path) -> Generation {
    fresh_of(path, domain::projection(), &zero())
}

pub(crate) fn fresh_of<E>(path: &Path, projection: Projection<E>, start: &Checkpoint) -> Generation {
    let mut generation = Generation::create(path, &projection.layout(), start, HOLDER).unwrap();
    generation.settle(start.clone(), Digest::default()).unwrap();
    generation.finish().unwrap();
    generation
}

pub(crate) fn open(path: &Path) -> Generation {
    // A process that another test is about to start holds whatever was open here, until it runs its own program.
    until("the generation is free", || match Generation::open(path, &domain::layout(), HOLDER) {
        Err(GenerationError::InUse { .. }) => None,
        opened => Some(opened.unwrap()),
    })
}

pub(crate) fn engine(generation: &Generation) -> Engine<Happened> {
    Engine::new(domain::projection(), &generation.checkpoint(), Limits::following(1 << 20))
}

pub(crate) fn apply<E: EventData>(
    engine: &mut Engine<E>,
    generation: &Generation,
    record: &Record,
) -> Result<(), StopReason> {
    let Record { source, offset, .. } = *record;
    let incoming = Incoming { source, offset, key: Some(&record.key), value: Some(&record.value) };
    engine.apply(generation, incoming, Vec::new).map(drop)
}

/// Projects what of `records` the checkpoint has not, and commits.
pub(crate) fn project(generation: &Generation, records: &[Record]) {
    project_as(domain::projection(), generation, records);
}

pub(crate) fn project_as<E: EventData>(
    projection: Projection<E>,
    generation: &Generation,
    records: &[Record],
) {
    let mut engine = Engine::new(projection, &generation.checkpoint(), Limits::following(1 << 20));
    let checkpoint = generation.checkpoint();
    let starts: Vec<_> = checkpoint.sources().map(|(_, at)| at.resume_offset).collect();
    for record in records.iter().filter(|record| record.offset >= starts[record.source]) {
        apply(&mut engine, generation, record).unwrap();
        if engine.full() {
            engine.commit(generation).unwrap();
        }
    }
    engine.commit(generation).unwrap();
}

/// The digest that these records lead to, in one go.
pub(crate) fn digest_of(records: &[Record]) -> Digest {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(&generation, records);
    assert_eq!(generation.recount_digest().unwrap(), generation.digest(), "kept up to date");
    generation.digest()
}
