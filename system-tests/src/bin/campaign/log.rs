//! The whole log, read once from offset zero to its end.
//!
//! Which records are in force is found out here by a rule of its own, not by the one that the services share: a record
//! counts unless one before it in its partition has a higher `writerepoch`.

use std::time::{Duration, Instant};

use daybook_event::envelope;
use daybook_event::event_data::{EventData as _, EventError};
use daybook_kafka::{Kafka, Polled, Reader, Record, Start};
use schemas::{ShopEvent, TOPICS};
use serde_json::Value;

use crate::Fallible;
use crate::evidence::Logged;
use crate::world::PARTITIONS;

/// Longest time that reading may take.
const READ_MAX: Duration = Duration::from_secs(120);
/// Longest wait for one record.
const POLL: Duration = Duration::from_millis(500);

/// All records.
#[derive(Default)]
pub(crate) struct Whole {
    /// Events that count.
    pub(crate) in_force: Vec<Logged>,
    /// How many records count for nothing.
    pub(crate) superseded: usize,
    /// Sentences about what is no event.
    pub(crate) unreadable: Vec<String>,
}

/// Reads everything.
pub(crate) fn read(kafka: &Kafka) -> Fallible<Whole> {
    let starts = TOPICS.iter().flat_map(|topic| {
        (0..PARTITIONS).map(|partition| Start { topic: (*topic).to_owned(), partition, offset: 0 })
    });
    let starts: Vec<_> = starts.collect();
    let reader = Reader::open(kafka, &starts)?;
    let mut ended = vec![false; starts.len()];
    let (mut whole, mut epochs) = (Whole::default(), vec![0; starts.len()]);
    let deadline = Instant::now() + READ_MAX;
    while ended.contains(&false) {
        match reader.poll(POLL)? {
            Polled::Record(record) => {
                // Of what is no JSON nobody can say whose it is; it stands in the log, and is told.
                let Some((epoch, is_claim)) = written_by(&record) else {
                    whole.take(&record);
                    continue;
                };
                let in_force = epochs.get_mut(record.source()).ok_or("a record of nobody's partition")?;
                if epoch < *in_force {
                    whole.superseded += 1;
                    continue;
                }
                *in_force = epoch;
                if !is_claim {
                    whole.take(&record);
                }
            }
            Polled::End { source } => ended.get_mut(source).into_iter().for_each(|ended| *ended = true),
            Polled::Nothing => {}
        }
        if Instant::now() >= deadline {
            return Err(format!("the log could not be read within {} s", READ_MAX.as_secs()).into());
        }
    }
    whole.in_force.sort_by(|one, other| {
        (&one.topic, one.partition, one.offset).cmp(&(&other.topic, other.partition, other.offset))
    });
    Ok(whole)
}

impl Whole {
    fn take(&mut self, record: &Record<'_>) {
        match logged(record) {
            Ok(record) => self.in_force.push(record),
            Err(error) => {
                let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
                self.unreadable.push(format!("{topic}/{partition}, offset {offset}: {error}"));
            }
        }
    }
}

/// The epoch that a record says, and whether it is a claim.
fn written_by(record: &Record<'_>) -> Option<(u64, bool)> {
    let value: Value = serde_json::from_slice(record.value()?).ok()?;
    let epoch = value.get("writerepoch").and_then(Value::as_u64).unwrap_or(0);
    Some((epoch, value.get("type").and_then(Value::as_str) == Some("daybook.writer.claimed.v1")))
}

fn logged(record: &Record<'_>) -> Result<Logged, EventError> {
    let envelope = envelope::open(record.value(), || record.headers())?;
    Ok(Logged {
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        position: envelope.position,
        id: envelope.id,
        correlation_id: envelope.correlation_id,
        aggregate: envelope.subject,
        version: envelope.aggregate_version,
        decided_us: envelope.time.as_microsecond(),
        event: ShopEvent::from_data(&envelope.event_type, &envelope.data)?,
    })
}
