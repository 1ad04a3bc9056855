//! Finds an event in the log by its token, to show it as it lies there.

use std::time::{Duration, Instant};

use daybook_event::token::{Token, TokenPosition};
use daybook_kafka::{Kafka, Polled, Reader, Start};
use daybook_service::program::chain;

/// How long the relay may take until the event is in the log.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait of one poll.
const POLL: Duration = Duration::from_millis(100);

/// One event as any Kafka tool would show it.
#[derive(Debug)]
pub(crate) struct LogLine {
    pub(crate) place: String,
    pub(crate) offset: i64,
    /// The record's value: the whole event.
    pub(crate) value: String,
}

/// The event of a command's token.
/// Errors: A sentence, if it does not come within a deadline.
pub(crate) fn find(kafka: &Kafka, token: &str) -> Result<LogLine, String> {
    let token: Token = token.parse().map_err(|error| format!("the command's token: {error}"))?;
    let at = token.positions.first().ok_or("the command answered without a token")?;
    let start = Start { topic: at.topic.clone(), partition: at.partition, offset: 0 };
    let reader = Reader::open(kafka, &[start]).map_err(|error| chain(&error))?;
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Polled::Record(record) = reader.poll(POLL).map_err(|error| chain(&error))?
            && let Some(value) = record.value()
            && daybook_event::envelope::open(Some(value), Vec::new)
                .is_ok_and(|event| event.position == at.position)
        {
            let value = String::from_utf8_lossy(value).into_owned();
            return Ok(LogLine { place: place(at), offset: record.offset(), value });
        }
    }
    Err(format!("{} position {} did not come within {} s", place(at), at.position, DEADLINE.as_secs()))
}

fn place(at: &TokenPosition) -> String {
    format!("{}/{}", at.topic, at.partition)
}
