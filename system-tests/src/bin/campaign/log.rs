//! The whole log, read once from offset zero to its end.

use std::time::{Duration, Instant};

use event_log::{Kafka, Polled, Reader, Record, Start};
use schemas::envelope;
use schemas::event_data::{EventData as _, EventError};
use schemas::shop::{ShopEvent, TOPICS};

use crate::Fallible;
use crate::evidence::Logged;
use crate::world::PARTITIONS;

/// Longest time that reading may take.
const READ_MAX: Duration = Duration::from_secs(120);
/// Longest wait for one record.
const POLL: Duration = Duration::from_millis(500);

/// Reads everything: events, and sentences about what is none.
pub(crate) fn read(kafka: &Kafka) -> Fallible<(Vec<Logged>, Vec<String>)> {
    let starts = TOPICS.iter().flat_map(|topic| {
        (0..PARTITIONS).map(|partition| Start { topic: (*topic).to_owned(), partition, offset: 0 })
    });
    let starts: Vec<_> = starts.collect();
    let reader = Reader::open(kafka, &starts)?;
    let mut ended = vec![false; starts.len()];
    let (mut log, mut unreadable) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + READ_MAX;
    while ended.contains(&false) {
        match reader.poll(POLL)? {
            Polled::Record(record) => match logged(&record) {
                Ok(record) => log.push(record),
                Err(error) => unreadable.push(format!(
                    "{}/{}, offset {}: {error}",
                    record.topic(),
                    record.partition(),
                    record.offset()
                )),
            },
            Polled::End { source } => ended.get_mut(source).into_iter().for_each(|ended| *ended = true),
            Polled::Nothing => {}
        }
        if Instant::now() >= deadline {
            return Err(format!("the log could not be read within {} s", READ_MAX.as_secs()).into());
        }
    }
    log.sort_by(|one, other| {
        (&one.topic, one.partition, one.offset).cmp(&(&other.topic, other.partition, other.offset))
    });
    Ok((log, unreadable))
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
