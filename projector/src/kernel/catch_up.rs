//! Brings a generation that nobody serves to a given place in the log, and no further.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event_log::{Kafka, Polled, Reader, Start};
use schemas::event_data::EventData;

use super::checkpoint::Checkpoint;
use super::engine::{Engine, Incoming, Limits};
use super::generation::Generation;
use super::projection::Projection;
use super::sources;
use super::stop::StopReason;

/// Bytes of rows kept in memory.
const CACHE_BYTES_MAX: usize = 64 << 20;
/// How long to wait for a record before looking whether to stop.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Longest silence of a broker that is to have more.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Projects into `generation` up to `to`, if it is behind, in every partition. Ends early, without an error, once
/// `cancelled` is true.
///
/// # Errors
/// [`StopReason`] if the log cannot be projected so far, or falls silent before.
pub(super) fn catch_up<E: EventData>(
    kafka: &Kafka,
    generation: &Generation,
    projection: Projection<E>,
    to: &Checkpoint,
    cancelled: &AtomicBool,
) -> Result<(), StopReason> {
    let mut engine = Engine::new(projection, &generation.checkpoint(), Limits::following(CACHE_BYTES_MAX));
    loop {
        match follow(kafka, generation, &mut engine, to, cancelled) {
            Err(_) if engine.reads_again() => engine.forget(&generation.checkpoint()),
            followed => return followed,
        }
    }
}

/// From the checkpoint on.
fn follow<E: EventData>(
    kafka: &Kafka,
    generation: &Generation,
    engine: &mut Engine<E>,
    to: &Checkpoint,
    cancelled: &AtomicBool,
) -> Result<(), StopReason> {
    let from = generation.checkpoint();
    let behind = behind(&from, to);
    if behind.is_empty() {
        return Ok(());
    }
    let all = sources::starts(&from);
    let starts: Vec<_> = behind.iter().map(|(source, _)| one_before(&all[*source])).collect();
    let reader = Reader::open(kafka, &starts)?;
    let mut left: Vec<bool> = vec![true; behind.len()];
    let mut heard = Instant::now();
    while left.contains(&true) && !cancelled.load(Ordering::Relaxed) {
        match reader.poll(POLL_TIMEOUT)? {
            Polled::Record(record) => {
                heard = Instant::now();
                let (source, end) = behind[record.source()];
                let offset = record.offset();
                if offset < end {
                    let incoming = Incoming { source, offset, key: record.key(), value: record.value() };
                    engine.apply(generation, incoming, || record.headers())?;
                }
                left[record.source()] = offset + 1 < end;
            }
            Polled::End { source } => left[source] = false,
            Polled::Nothing if heard.elapsed() > SILENCE_MAX => return Err(silent()),
            Polled::Nothing => {}
        }
        if engine.full() {
            engine.commit(generation)?;
        }
    }
    engine.commit(generation)?;
    Ok(())
}

/// The record before the next is read again, so that a log which is not the one that was projected so far is noticed (a
/// fork) before anything is projected from it.
fn one_before(start: &Start) -> Start {
    Start { offset: (start.offset - 1).max(0), ..start.clone() }
}

/// Partitions that are behind, by index, with the end offset to reach.
fn behind(from: &Checkpoint, to: &Checkpoint) -> Vec<(usize, i64)> {
    let end = |(index, (source, at)): (usize, (&super::SourceId, &super::SourceCheckpoint))| {
        let end = to.get(&source.topic, source.partition)?.next_offset;
        (at.next_offset < end).then_some((index, end))
    };
    from.sources().enumerate().filter_map(end).collect()
}

fn silent() -> StopReason {
    let waited_s = SILENCE_MAX.as_secs();
    StopReason::Log {
        passes: true,
        error: format!("Kafka gave no record for {waited_s} s, and there should be more; try again"),
    }
}
