//! The log as it lies in Kafka: every event of a topic, in order.

use std::time::{Duration, Instant};

use daybook_event::sequence::{Sequence, Verdict};
use daybook_event::{claim, envelope};
use daybook_kafka::{Kafka, Polled, Reader, Start, topics};
use uuid::Uuid;

use crate::wait;

/// How long one poll waits.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The event's id.
    pub id: Uuid,
    /// Kafka's offset.
    pub offset: i64,
    /// Epoch of its writer.
    pub epoch: u32,
    /// Its position.
    pub position: u64,
    /// What it names as the event before it, or as its log.
    pub previous_id: Option<Uuid>,
    /// Its key and value.
    pub record: (Vec<u8>, Vec<u8>),
}

/// All events of every partition whose writers were in force, repetitions too. Records that are no events of the topic's service are left
/// out.
pub fn records(kafka: &Kafka, topic: &str) -> Vec<Vec<Logged>> {
    let count = topics::partition_count(kafka, topic).expect("an answer").expect("the topic");
    let all: Vec<_> = (0..count).map(|partition| (topic, partition)).collect();
    let marks = topics::all_watermarks(kafka, &all).expect("the ends");
    let start = |partition| Start { topic: topic.to_owned(), partition, offset: 0 };
    let reader = Reader::open(kafka, &(0..count).map(start).collect::<Vec<_>>()).expect("a reader");
    let mut missing: i64 = marks.iter().map(|marks| marks.high - marks.low).sum();
    let mut records = vec![Vec::new(); all.len()];
    let mut in_force = vec![0; all.len()];
    let deadline = Instant::now() + wait::DEADLINE;
    while missing > 0 {
        assert!(Instant::now() < deadline, "{missing} records of {topic} did not come");
        if let Polled::Record(record) = reader.poll(POLL_TIMEOUT).expect("a readable log") {
            missing -= 1;
            let in_force = &mut in_force[record.source()];
            if let Some(claim) = claim::open(record.value()) {
                *in_force = claim.expect("a claim").epoch.max(*in_force);
                continue;
            }
            let Ok(envelope) = envelope::open(record.value(), || record.headers()) else { continue };
            let is_owners = envelope.source.service == topic.trim_end_matches(".events");
            if envelope.writer_epoch < *in_force || !is_owners {
                continue;
            }
            let bytes = (record.key().unwrap_or_default(), record.value().unwrap_or_default());
            records[record.source()].push(Logged {
                id: envelope.id,
                offset: record.offset(),
                epoch: envelope.writer_epoch,
                position: envelope.position,
                previous_id: envelope.previous_id,
                record: (bytes.0.to_vec(), bytes.1.to_vec()),
            });
        }
    }
    records
}

/// Ids of all events of every partition, repetitions left out. Panics unless positions are contiguous from 0.
#[track_caller]
pub fn events(kafka: &Kafka, topic: &str) -> Vec<Vec<Uuid>> {
    let contiguous = |records: Vec<Logged>| {
        let mut sequence = Sequence::default();
        records
            .into_iter()
            .filter_map(|logged| {
                let verdict = sequence.check(logged.epoch, logged.position, logged.id, logged.previous_id);
                let verdict = verdict.unwrap_or_else(|error| panic!("{topic}: {error}"));
                sequence.pass(verdict, logged.epoch, logged.id, logged.offset);
                (verdict == Verdict::Apply).then_some(logged.id)
            })
            .collect()
    };
    records(kafka, topic).into_iter().map(contiguous).collect()
}
