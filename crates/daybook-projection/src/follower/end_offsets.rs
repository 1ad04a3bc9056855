//! Asks the broker for its end offsets, so that lag is measured against the log and not against our own mark, and so learns
//! for which partitions nobody answers; now and then whether a topic was changed so that it loses events, and whether the log
//! is still the one that is followed.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event::doubt::Readings;
use daybook_kafka::Kafka;
use daybook_kafka::topics::TopicError;
use daybook_service::{Slot, Stop};
use daybook_stream::BrokerMonitor;
use tokio::sync::watch;

use super::report::report_away;
use crate::checkpoint::SourceId;
use crate::progress::Progress;
use crate::sources;
use crate::sources::watched;
use crate::stop::StopReason;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long none may be answered before nothing is known of the log's end any more.
const UNANSWERED_MAX: Duration = Duration::from_secs(5);

/// What the watch of topics and partitions has found, for the follower; and what the follower has read, for the watch.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) mismatch: Slot<StopReason>,
    /// Why it is to find its resume points again.
    pub(super) doubt: Slot<String>,
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
        let (pausing, mut answered_at) = (stopping.clone(), Instant::now());
        let asking = Self { kafka: kafka.clone(), progress, stopping, findings };
        let turn = move |monitor: &mut BrokerMonitor| asking.turn(monitor, &mut answered_at);
        BrokerMonitor::start("end-offsets", kafka, turn, move || pausing.wait(ASK_EVERY))
    }

    fn turn(&self, monitor: &mut BrokerMonitor, answered_at: &mut Instant) {
        let answer = self.ask(monitor);
        match &answer {
            Ok(()) => *answered_at = Instant::now(),
            Err(error) if answered_at.elapsed() < UNANSWERED_MAX => {
                tracing::debug!("end offsets are not known: {error}");
            }
            Err(error) => self.know_nothing(error),
        }
        // While nobody answers, a check of the topics would only take the time of the next question.
        let is_unreachable = matches!(answer, Err(TopicError::Log(_)));
        if monitor.is_look_due() && !is_unreachable {
            self.check_topics(monitor);
        }
    }

    fn ask(&self, monitor: &mut BrokerMonitor) -> Result<(), TopicError> {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        // Before the ends: what is read meanwhile may lie behind them.
        let readings = self.findings.readings.all(checkpoint.sources().count());
        let log = monitor.held(&sources::partitions(&checkpoint))?;
        let (mut ends, mut away) = (Vec::new(), Vec::new());
        for ((source, _), held) in checkpoint.sources().zip(&log) {
            match held {
                Ok(held) => ends.push((source.clone(), held.high)),
                Err(error) => away.push((source.clone(), error.clone())),
            }
        }
        self.know(ends);
        report_away(&self.progress, away);
        let watched = watched(&checkpoint, &log, readings);
        if let Some(reason) = monitor.doubt(&watched, &|| self.stopping.requested()) {
            self.findings.doubt.set(reason);
        }
        Ok(())
    }

    fn know_nothing(&self, error: &TopicError) {
        self.know(Vec::new());
        if matches!(error, TopicError::Log(_)) {
            let checkpoint = self.progress.borrow().checkpoint.clone();
            report_away(
                &self.progress,
                checkpoint.sources().map(|(source, _)| (source.clone(), error.clone())),
            );
        }
    }

    fn know(&self, ends: Vec<(SourceId, i64)>) {
        self.progress.send_modify(|progress| Arc::make_mut(progress).end_offsets = Arc::new(ends));
    }

    /// Partitions that were added stop the follower; all else that loses events is reported, and following continues.
    fn check_topics(&self, monitor: &mut BrokerMonitor) {
        let checkpoint = self.progress.borrow().checkpoint.clone();
        let followed = sources::topics_of(&checkpoint);
        let faults = monitor.check(&followed);
        for fault in &faults {
            if let TopicError::PartitionCount { topic: full_name, expected, actual } = fault
                && let Some((topic, _)) =
                    followed.iter().find(|(topic, _)| self.kafka.topic_name(topic) == *full_name)
            {
                let (topic, found, expected) = (topic.clone(), *actual, *expected);
                self.findings.mismatch.set(StopReason::PartitionsChanged { topic, found, expected });
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
