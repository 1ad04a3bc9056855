//! Asks the broker for its end offsets, so that lag is measured against the log and not against our own mark, and so learns
//! for which partitions nobody answers; now and then whether somebody has changed a topic so that it loses events, and whether the log
//! is still the one that is followed.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use daybook_event::doubt::{Doubts, Reading, Readings};
use daybook_kafka::topics::{Held, TopicError, TopicWatch};
use daybook_kafka::{Kafka, LogError};
use daybook_service::{Slot, Stop};
use tokio::sync::watch;

use super::telling::tell_away;
use crate::checkpoint::{Checkpoint, SourceId};
use crate::place::doubt;
use crate::progress::Progress;
use crate::sources;
use crate::stop::StopReason;

/// How old end offsets may get.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long none may be answered before nothing is known of the log's end any more.
const UNANSWERED_MAX: Duration = Duration::from_secs(5);
/// Questions about end offsets for each look at partitions and settings, which only an operator changes.
const ASKED_PER_LOOK: u32 = 5;

/// What is found by looking at topics, for the follower; and what that tells who looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    /// Why it must stop.
    pub(super) unfit: Slot<StopReason>,
    /// Why it is to look for its places again.
    pub(super) doubt: Slot<String>,
    /// What its reader has read.
    pub(super) readings: Readings,
}

pub(super) struct EndOffsets {
    kafka: Kafka,
    progress: Arc<watch::Sender<Arc<Progress>>>,
    stopping: Stop,
    findings: Findings,
}

impl EndOffsets {
    /// Starts the thread. It is never waited for: it owns nothing, and ends by itself soon after the request to stop.
    pub(super) fn start(
        kafka: Kafka,
        progress: Arc<watch::Sender<Arc<Progress>>>,
        stopping: Stop,
        findings: Findings,
    ) -> io::Result<()> {
        let asking = Self { kafka, progress, stopping, findings };
        thread::Builder::new().name("end-offsets".to_owned()).spawn(move || asking.run()).map(drop)
    }

    fn run(self) {
        // The follower's reader is refused for the same reason, and tells it.
        if let Err(error) = self.watch() {
            tracing::debug!("end offsets will not be known: {error}");
        }
    }

    fn watch(&self) -> Result<(), LogError> {
        let mut topics = TopicWatch::open(&self.kafka)?;
        let mut answered_at = Instant::now();
        let mut doubts = Doubts::begin(answered_at);
        for asked in 0_u32.. {
            let answer = self.ask(&topics, &mut doubts);
            match &answer {
                Ok(()) => answered_at = Instant::now(),
                Err(error) if answered_at.elapsed() < UNANSWERED_MAX => {
                    tracing::debug!("end offsets are not known: {error}");
                }
                Err(error) => self.know_nothing(error),
            }
            // While nobody answers, a look would only take the time of the next question.
            let is_unreachable = matches!(answer, Err(TopicError::Log(_)));
            if asked.is_multiple_of(ASKED_PER_LOOK) && !is_unreachable {
                self.look_at_topics(&mut topics);
            }
            if self.stopping.wait(ASK_EVERY) {
                break;
            }
        }
        Ok(())
    }

    fn ask(&self, topics: &TopicWatch, doubts: &mut Doubts) -> Result<(), TopicError> {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        // Before the ends: what is read meanwhile may lie behind them.
        let readings = self.findings.readings.all(checkpoint.sources().count());
        let log = topics.held(&sources::partitions(&checkpoint))?;
        let (mut ends, mut away) = (Vec::new(), Vec::new());
        for ((source, _), held) in checkpoint.sources().zip(&log) {
            match held {
                Ok(held) => ends.push((source.clone(), held.high)),
                Err(error) => away.push((source.clone(), error.clone())),
            }
        }
        self.know(ends);
        tell_away(&self.progress, away);
        self.look_for_doubt(&checkpoint, (&log, readings), doubts);
        Ok(())
    }

    fn look_for_doubt(
        &self,
        checkpoint: &Checkpoint,
        (log, readings): (&[Held], Vec<Reading>),
        doubts: &mut Doubts,
    ) {
        let is_over = || self.stopping.requested();
        match doubt(&self.kafka, checkpoint, (log, readings), doubts, &is_over) {
            Ok(Some(reason)) => self.findings.doubt.set(reason),
            Ok(None) => {}
            Err(error) => tracing::debug!("the log cannot be asked for what was read last: {error}"),
        }
    }

    /// The ends that were known are too old to measure a lag by. Who cannot be reached at all answers for no partition.
    fn know_nothing(&self, error: &TopicError) {
        self.know(Vec::new());
        if matches!(error, TopicError::Log(_)) {
            let checkpoint = self.progress.borrow().checkpoint.clone();
            tell_away(
                &self.progress,
                checkpoint.sources().map(|(source, _)| (source.clone(), error.clone())),
            );
        }
    }

    fn know(&self, ends: Vec<(SourceId, i64)>) {
        self.progress.send_modify(|progress| Arc::make_mut(progress).end_offsets = Arc::new(ends));
    }

    /// Partitions that were added stop the follower; all else that loses events is told, and it goes on.
    fn look_at_topics(&self, topics: &mut TopicWatch) {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        let followed = sources::topics_of(&checkpoint);
        let faults = topics.look(&followed);
        for fault in &faults {
            if let TopicError::PartitionCount { topic: full_name, expected, actual } = fault
                && let Some((topic, _)) =
                    followed.iter().find(|(topic, _)| self.kafka.topic_name(topic) == *full_name)
            {
                let (topic, found, expected) = (topic.clone(), *actual, *expected);
                self.findings.unfit.set(StopReason::PartitionsChanged { topic, found, expected });
            }
        }
        self.progress.send_if_modified(|progress| {
            let changed = *progress.topic_faults != faults;
            if changed {
                Arc::make_mut(progress).topic_faults = Arc::new(faults);
            }
            changed
        });
    }
}
