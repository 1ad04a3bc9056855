//! Single records of several partitions.

use std::time::{Duration, Instant};

use super::inspector::ANSWER_TIMEOUT;
use super::{OwnedRecord, TopicError};
use crate::{FetchAhead, Kafka, LogError, Polled, Reader, Start};

/// How long one poll waits; the deadline is looked at in between.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);
/// Only one record of each partition is wanted.
const FETCH_AHEAD: FetchAhead = FetchAhead { bytes_max: 0 };

/// The first record at or after each start; none where the partition ends before. One connection for all.
///
/// # Errors
/// [`TopicError::Log`]: as [`Reader::poll`] for an offset that is not in the log, and if no broker answers in time.
pub fn records_at(kafka: &Kafka, starts: &[Start]) -> Result<Vec<Option<OwnedRecord>>, TopicError> {
    let mut found: Vec<Option<OwnedRecord>> = vec![None; starts.len()];
    let mut looked_at = vec![false; starts.len()];
    if starts.is_empty() {
        return Ok(found);
    }
    let reader = Reader::open_with(kafka, starts, FETCH_AHEAD)?;
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while looked_at.contains(&false) {
        if Instant::now() >= deadline {
            return Err(LogError::unreachable(&kafka.brokers, ANSWER_TIMEOUT, None).into());
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
