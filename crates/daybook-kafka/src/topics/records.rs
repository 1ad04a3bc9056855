//! Single records, at given offsets.

use std::time::{Duration, Instant};

use super::TopicError;
use super::inspector::ANSWER_TIMEOUT;
use crate::{FetchAhead, Kafka, LogError, Polled, Reader, Record, Start};

/// How long one poll waits; the deadline is looked at in between.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl From<&Record<'_>> for OwnedRecord {
    fn from(record: &Record<'_>) -> OwnedRecord {
        OwnedRecord {
            offset: record.offset(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.value().map(<[u8]>::to_vec),
            headers: record.headers(),
        }
    }
}

/// Only one record of each partition is wanted.
const FETCH_AHEAD: FetchAhead = FetchAhead { bytes_max: 0 };

/// The first record at or after each start; none where the partition ends before. One connection for all; given up once `is_over`
/// says so.
/// Errors: [`TopicError::Log`]: as [`Reader::poll`] for an offset that is not in the log; if a partition or every broker does
/// not answer in time; [`LogError::GivenUp`].
pub fn records_at(
    kafka: &Kafka,
    starts: &[Start],
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Option<OwnedRecord>>, TopicError> {
    let mut found: Vec<Option<OwnedRecord>> = vec![None; starts.len()];
    let mut looked_at = vec![false; starts.len()];
    if starts.is_empty() {
        return Ok(found);
    }
    let reader = Reader::open_with(kafka, starts, FETCH_AHEAD)?;
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while looked_at.contains(&false) {
        if is_over() {
            return Err(LogError::GivenUp.into());
        }
        if Instant::now() >= deadline {
            return Err(silent(kafka, starts, &looked_at).into());
        }
        match reader.poll(POLL_TIMEOUT)? {
            Polled::Record(record) => {
                let source = record.source();
                found[source].get_or_insert_with(|| OwnedRecord::from(&record));
                looked_at[source] = true;
            }
            Polled::End { source } => looked_at[source] = true,
            Polled::Nothing => {}
        }
    }
    Ok(found)
}

fn silent(kafka: &Kafka, starts: &[Start], looked_at: &[bool]) -> LogError {
    let silent = starts.iter().zip(looked_at).find(|(_, looked_at)| !**looked_at);
    match silent {
        Some((start, _)) if looked_at.contains(&true) => LogError::Silent {
            topic: kafka.topic_name(&start.topic),
            partition: start.partition,
            waited_ms: ANSWER_TIMEOUT.as_millis(),
        },
        _ => LogError::unreachable(&kafka.brokers, ANSWER_TIMEOUT, None),
    }
}
