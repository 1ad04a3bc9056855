//! Brings a generation that nobody serves to a given place in the log, and no further.

use std::thread;
use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;
use daybook_kafka::topics::{self, TopicError, Watermarks};
use daybook_kafka::{Kafka, Polled, Reader, Start};

use super::checkpoint::Checkpoint;
use super::engine::{Engine, Incoming, Limits};
use super::follower::CACHE_BYTES_MAX;
use super::generation::Generation;
use super::projection::{Projection, Topic};
use super::sources;
use super::sources::places;
use super::stop::{RecordAt, StopReason};

/// How long to wait for a record before the request to stop is checked.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long each leader may take to say what it has; the request to stop is seen between two of them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long they are asked again, while some do not answer.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest silence of a broker that is to have more.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Projects into `generation` up to the events of `to`, if it is behind, in every partition, wherever the log has them now.
/// Ends early, without an error, once `stop` says so, which is asked for every record, and between two questions to brokers.
/// Errors: [`StopReason`] if the log cannot be projected so far, or falls silent before.
pub fn catch_up<E: EventData>(
    kafka: &Kafka,
    generation: &Generation,
    projection: Projection<E>,
    to: &Checkpoint,
    stop: &dyn Fn() -> bool,
) -> Result<(), StopReason> {
    let mut engine = Engine::new(projection, &generation.checkpoint(), Limits::following(CACHE_BYTES_MAX));
    let behind = Behind::of(&generation.checkpoint(), to);
    if behind.partitions.is_empty() {
        return Ok(());
    }
    let starts = match behind.starts(kafka, engine.topics(), stop) {
        Err(_) if stop() => return Ok(()),
        starts => starts?,
    };
    for ((index, _), start) in behind.partitions.iter().zip(&starts) {
        engine.seek(*index, start.offset);
    }
    let reader = Reader::open(kafka, &starts)?;
    let mut left = behind.partitions.len();
    let mut heard = Instant::now();
    while left > 0 && !stop() {
        match reader.poll(POLL_TIMEOUT)? {
            Polled::Record(record) => {
                let (source, end) = behind.partitions[record.source()];
                // What comes after the place belongs to the follower that starts there.
                if engine.next_position(source) < end {
                    // Others, which are there already, may have records for ever.
                    heard = Instant::now();
                    let (key, value) = (record.key(), record.value());
                    let incoming = Incoming { source, offset: record.offset(), key, value };
                    engine.apply(generation, incoming, || record.headers())?;
                    left -= usize::from(engine.next_position(source) >= end);
                }
            }
            Polled::End { source } => {
                let (index, end) = behind.partitions[source];
                if engine.next_position(index) < end {
                    return Err(behind.ended_early(source, engine.next_offset(index)));
                }
            }
            Polled::Nothing => {}
        }
        if heard.elapsed() > SILENCE_MAX {
            return Err(silent());
        }
        if engine.full() {
            engine.commit(generation)?;
        }
    }
    engine.commit(generation)?;
    Ok(())
}

struct Behind {
    from: Checkpoint,
    /// Index of each in the generation's checkpoint, and the position that is to come next at the end.
    partitions: Vec<(usize, u64)>,
}

impl Behind {
    fn of(from: &Checkpoint, to: &Checkpoint) -> Self {
        let (mut sources, mut partitions) = (Vec::new(), Vec::new());
        for (index, (source, at)) in from.sources().enumerate() {
            let end = to.get(&source.topic, source.partition).map_or(0, |to| to.next_position);
            if at.next_position < end {
                sources.push((source.clone(), *at));
                partitions.push((index, end));
            }
        }
        Self { from: Checkpoint::from_sources(sources), partitions }
    }

    /// Where the log has now what comes next. The event before it is read as well, so that a log which is not the one
    /// that was projected so far is noticed (a fork) before anything is projected from it.
    fn starts(
        &self,
        kafka: &Kafka,
        topics: &[Topic],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Start>, StopReason> {
        let unreachable = |error: TopicError| StopReason::Log { error: error.to_string(), passes: true };
        let log = self.held(kafka, stop).map_err(unreachable)?;
        sources::check_fronts(&self.from, &log, kafka.embedded)?;
        let places = places(kafka, topics, &self.from, &log, stop).map_err(unreachable)?;
        sources::starts_at(&self.from, &log, &places)
    }

    fn held(&self, kafka: &Kafka, stop: &dyn Fn() -> bool) -> Result<Vec<Watermarks>, TopicError> {
        let partitions = sources::partitions(&self.from);
        let give_up_at = Instant::now() + ANSWERS_TIMEOUT;
        loop {
            let held = topics::held_until(kafka, &partitions, ANSWER_TIMEOUT, stop);
            match held.and_then(|held| held.into_iter().collect()) {
                Err(error) if may_answer(&error) && Instant::now() < give_up_at && !stop() => {
                    thread::sleep(POLL_TIMEOUT);
                }
                held => return held,
            }
        }
    }

    fn ended_early(&self, partition: usize, high: i64) -> StopReason {
        let source = self.from.sources().nth(partition).map(|(source, _)| source.clone());
        let (topic, partition) =
            source.map_or_else(Default::default, |id| (id.topic.to_string(), id.partition));
        let at = RecordAt { topic, partition, offset: high, event_id: None };
        StopReason::LogWentBack { at: Box::new(at), high }
    }
}

fn may_answer(error: &TopicError) -> bool {
    error.is_away() || matches!(error, TopicError::Log(error) if error.may_pass())
}

fn silent() -> StopReason {
    let waited_s = SILENCE_MAX.as_secs();
    StopReason::Log {
        passes: true,
        error: format!("Kafka gave no record for {waited_s} s, and there should be more; try again"),
    }
}
