//! Reading partitions up to given offsets, all of it or not at all.

use std::time::{Duration, Instant};

use super::{Polled, Reader, Record, Start};
use crate::{Kafka, LogError};

/// How long one poll waits; the silence is looked at in between.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: Start,
    pub end: i64,
}

/// Shows every record of the spans to `visit`, each partition's in order. A partition that ends before its span does, which
/// it may for a moment after an election, is waited for.
/// Errors: What `visit` returns; as [`Reader::open`] and [`Reader::poll`]; after `silence_max` without a record
/// [`LogError::EndsBefore`] if a partition ended too early, [`LogError::Silent`] if nothing has come of one and something of
/// others, else [`LogError::Unreachable`].
pub fn read_spans<E: From<LogError>>(
    kafka: &Kafka,
    spans: &[Span],
    silence_max: Duration,
    visit: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    read_spans_until(kafka, spans, silence_max, &|| false, visit)
}

/// The same, unless it is over before.
/// Errors: As [`read_spans`]; [`LogError::GivenUp`] once `is_over` says so and nothing comes.
pub fn read_spans_until<E: From<LogError>>(
    kafka: &Kafka,
    spans: &[Span],
    silence_max: Duration,
    is_over: &dyn Fn() -> bool,
    mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let spans: Vec<&Span> = spans.iter().filter(|span| span.start.offset < span.end).collect();
    if spans.is_empty() {
        return Ok(());
    }
    let starts: Vec<Start> = spans.iter().map(|span| span.start.clone()).collect();
    let reader = Reader::open(kafka, &starts)?;
    let mut states = vec![State::Open; spans.len()];
    let (mut heard, mut has_heard) = (Instant::now(), false);
    while states.iter().any(|state| *state != State::Read) {
        match reader.poll(POLL_TIMEOUT)? {
            Polled::Record(record) => {
                let (source, end) = (record.source(), spans[record.source()].end);
                if record.offset() < end {
                    visit(&record)?;
                }
                states[source].reach(record.offset() + 1, end);
                (heard, has_heard) = (Instant::now(), true);
            }
            // Comes again behind what comes.
            Polled::End { source } => {
                let at = reader.next_offset(source);
                states[source].end(at, spans[source].end);
                has_heard = true;
            }
            Polled::Nothing if is_over() => return Err(LogError::GivenUp.into()),
            Polled::Nothing if heard.elapsed() >= silence_max => {
                return Err(silent(kafka, &spans, &states, has_heard, silence_max).into());
            }
            Polled::Nothing => {}
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The partition ended at this offset, before the span.
    EndedAt(i64),
    Read,
}

impl State {
    /// Everything before `offset` was read.
    fn reach(&mut self, offset: i64, end: i64) {
        if *self != Self::Read {
            *self = if offset < end { Self::Open } else { Self::Read };
        }
    }

    /// The partition ends at `offset` for the present.
    fn end(&mut self, offset: i64, end: i64) {
        self.reach(offset, end);
        if *self == Self::Open {
            *self = Self::EndedAt(offset);
        }
    }
}

fn silent(kafka: &Kafka, spans: &[&Span], states: &[State], has_heard: bool, waited: Duration) -> LogError {
    let waited_ms = waited.as_millis();
    let of = |span: &Span| (kafka.topic_name(&span.start.topic), span.start.partition);
    let ended = spans.iter().zip(states).find_map(|(span, state)| match state {
        State::EndedAt(offset) => Some((span, *offset)),
        State::Open | State::Read => None,
    });
    if let Some((span, end)) = ended {
        let (topic, partition) = of(span);
        return LogError::EndsBefore { topic, partition, end, wanted: span.end, waited_ms };
    }
    match spans.iter().zip(states).find(|(_, state)| **state == State::Open) {
        Some((span, _)) if has_heard => {
            let (topic, partition) = of(span);
            LogError::Silent { topic, partition, waited_ms }
        }
        _ => LogError::unreachable(&kafka.brokers, waited, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_ends_early_is_not_read_until_more_has_come() {
        let mut state = State::Open;
        state.end(3, 5);
        assert_eq!(state, State::EndedAt(3));
        state.reach(4, 5);
        assert_eq!(state, State::Open);
        state.reach(5, 5);
        state.end(3, 5);
        assert_eq!(state, State::Read, "what was read stays read");
        // The last offsets may hold no record but a foreign transaction's marks.
        let mut state = State::Open;
        state.end(5, 5);
        assert_eq!(state, State::Read);
    }
}
