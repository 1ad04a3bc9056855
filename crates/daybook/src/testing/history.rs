//! A history of events, and what a projection must make of it whatever happens.

use std::path::Path;

use daybook_event::Event;
use daybook_kafka::Kafka;
use daybook_kafka::embedded::EmbeddedBroker;
use daybook_projection::engine::{Engine, Incoming, Limits};
use daybook_projection::{Digest, Generation, Projection, ReadModel, ReplayOptions, View, load, replay};
use daybook_service::Stop;
use daybook_store::testing::copy_dir;
use tempfile::TempDir;
use uuid::Uuid;

use super::log::{Dice, PARTITIONS, Record, duplicated, interleaved, send, written, zero};

const HOLDER: &str = "a test";
/// Small, so that rows leave the cache.
const CACHE_BYTES: usize = 1 << 10;
/// How many logs a history is tried as.
const TRIALS: usize = 20;

/// Events as they lie in a log, for the views of a projection.
pub struct History<E: 'static> {
    projection: Projection<E>,
    records: Vec<Record>,
}

/// These events, in the order in which their services decided them.
///
/// # Panics
/// If a view says that its rows have the record key, and one has not.
#[track_caller]
pub fn history<E: Event + 'static>(
    projection: Projection<E>,
    events: impl IntoIterator<Item = E>,
) -> History<E> {
    let events: Vec<E> = events.into_iter().collect();
    for view in projection.views.iter().filter(|view| view.by_record_key) {
        for event in &events {
            let key = view.key(event).expect("a change is written");
            assert!(
                key.is_none_or(|key| key == event.key()),
                "the rows of {} have the record key, it says, but that of {} is another",
                view.name,
                event.event_type()
            );
        }
    }
    let records = written(projection, &events);
    History { projection, records }
}

impl<E: Event + 'static> History<E> {
    /// The row of a view with this key, after all events.
    #[track_caller]
    pub fn row<V: View<Event = E>>(&self, key: Uuid) -> Option<V::Row> {
        let directory = directory();
        let generation = self.projected(directory.path(), &self.records);
        assert_none_waits(&generation, "where they come in order");
        load::<V>(&generation, key).expect("a row is read")
    }

    /// Writes it to a broker that has the topics, each of [`PARTITIONS`] partitions, and gives the token of its end, for
    /// `Daybook-After`: for a test of a whole program.
    pub fn write_to(&self, kafka: &Kafka) -> String {
        send(kafka, self.projection, &self.records);
        let last = |source| self.records.iter().rfind(|record| record.source == source);
        let start = zero(self.projection);
        let ends = start.sources().enumerate().filter_map(|(source, (id, _))| {
            // Each record is the event of the position that is its offset.
            last(source).map(|record| format!("{id}@{}", record.offset))
        });
        ends.collect::<Vec<_>>().join(",")
    }

    /// Everything that follows here.
    #[track_caller]
    pub fn survives_everything(&self) {
        self.survives_duplicates();
        self.survives_reordering();
        self.survives_crashes();
        self.survives_replay();
    }

    /// The rows are the same if records come again.
    #[track_caller]
    pub fn survives_duplicates(&self) {
        self.are_the_same("with records that came again", duplicated);
    }

    /// The rows are the same however the partitions interleave.
    #[track_caller]
    pub fn survives_reordering(&self) {
        self.are_the_same("with the partitions in another order", interleaved);
    }

    /// The rows are the same if the process was killed after any of the records, and its directory is opened again.
    #[track_caller]
    pub fn survives_crashes(&self) {
        let (expected, directory) = (self.digest(), directory());
        let generation = self.fresh(directory.path());
        for prefix in 0..=self.records.len() {
            let mut engine = self.engine(&generation);
            self.apply(&mut engine, &generation, &self.records[..prefix]);
            engine.commit(&generation).expect("rows are written");
            // What comes after the commit is lost with the process.
            self.apply(&mut engine, &generation, &self.records[prefix..]);
            let (copy, path) = (self::directory(), directory.path().join("gen"));
            copy_dir(&path, &copy.path().join("gen"));
            let reopened = Generation::open(&copy.path().join("gen"), &self.projection.layout(), HOLDER);
            let reopened = reopened.expect("what a killed process leaves is opened");
            self.project(&reopened, &self.records);
            assert_same(&reopened, expected, &format!("after a crash behind {prefix} records"));
        }
    }

    /// The rows are the same if they are built from offset zero at once.
    #[track_caller]
    pub fn survives_replay(&self) {
        let (broker, directory) = (EmbeddedBroker::start().expect("an embedded broker"), directory());
        for topic in self.projection.topics {
            broker.create_topic(topic.name, PARTITIONS).expect("a topic");
        }
        send(&broker.kafka(""), self.projection, &self.records);
        let read_model = ReadModel::open(directory.path()).expect("a read model");
        let options = ReplayOptions::new(PARTITIONS, HOLDER.to_owned());
        let never = Stop::default();
        let report = replay(&broker.kafka(""), &read_model, self.projection, &options, |_| {}, &never);
        let report = report.expect("the log is replayed");
        assert_eq!(report.digest, self.digest(), "a replay makes other rows than following does");
    }

    #[track_caller]
    fn are_the_same(&self, how: &str, other: fn(&[Record], &mut Dice) -> Vec<Record>) {
        let (expected, mut dice) = (self.digest(), Dice::new());
        for _ in 0..TRIALS {
            let (records, directory) = (other(&self.records, &mut dice), directory());
            assert_same(&self.projected(directory.path(), &records), expected, how);
        }
    }

    fn digest(&self) -> Digest {
        let directory = directory();
        let generation = self.projected(directory.path(), &self.records);
        assert_none_waits(&generation, "where they come in order");
        generation.digest()
    }

    /// A generation with what these records lead to, committed now and then.
    fn projected(&self, directory: &Path, records: &[Record]) -> Generation {
        let generation = self.fresh(directory);
        let mut engine = self.engine(&generation);
        let mut dice = Dice::new();
        for record in records {
            self.apply(&mut engine, &generation, std::slice::from_ref(record));
            if dice.roll(3) == 0 {
                engine.commit(&generation).expect("rows are written");
            }
        }
        engine.commit(&generation).expect("rows are written");
        generation
    }

    fn fresh(&self, directory: &Path) -> Generation {
        let start = zero(self.projection);
        let layout = self.projection.layout();
        let mut generation =
            Generation::create(&directory.join("gen"), &layout, &start, HOLDER).expect("a generation");
        generation.settle(start, Digest::default()).expect("a new generation");
        generation.finish().expect("a new generation");
        generation
    }

    fn engine(&self, generation: &Generation) -> Engine<E> {
        Engine::new(self.projection, &generation.checkpoint(), Limits::following(CACHE_BYTES))
    }

    fn project(&self, generation: &Generation, records: &[Record]) {
        let mut engine = self.engine(generation);
        self.apply(&mut engine, generation, records);
        engine.commit(generation).expect("rows are written");
    }

    /// Folds what of the records the engine has not yet.
    fn apply(&self, engine: &mut Engine<E>, generation: &Generation, records: &[Record]) {
        for Record { source, offset, key, value } in records {
            if *offset < engine.next_offset(*source) {
                continue;
            }
            let incoming =
                Incoming { source: *source, offset: *offset, key: Some(key.as_bytes()), value: Some(value) };
            if let Err(reason) = engine.apply(generation, incoming, Vec::new) {
                panic!("an event cannot be projected: {reason}");
            }
        }
    }
}

/// No event contradicts a row.
#[track_caller]
fn assert_none_waits(generation: &Generation, how: &str) {
    let waiting = generation.quarantine();
    let why = waiting.keys().next().map(|key| key.reason.clone()).unwrap_or_default();
    assert!(waiting.is_empty(), "{} events wait {how}: {why}", waiting.events());
}

#[track_caller]
fn assert_same(generation: &Generation, expected: Digest, how: &str) {
    assert_none_waits(generation, how);
    assert_eq!(generation.digest(), expected, "other rows {how}");
    let counted = generation.recount_digest().expect("rows are read");
    assert_eq!(counted, expected, "the digest is kept {how}");
}

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("daybook-test-").tempdir().expect("a temporary directory")
}
