//! Looks at the own topic while the service runs: whether its end went back, whether somebody else writes it, and whether
//! somebody has changed it so that it loses events.
//!
//! An end that went back, or that lies further on than what this service has sent, makes the relay compare log and store
//! at once; everything else is told in the log and by `/health/ready` as long as it lasts, and commands go on.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use event_log::topics::{self, TopicError, Watcher, Watermarks};

use super::comparison::OwnTopic;
use super::positions::Positions;

/// Pause between two looks at the ends: how long a log that went back by an election may go unseen.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// Looks at the ends for each look at partitions and settings, which only an operator changes.
const LOOKS_PER_CHECK: u32 = 5;

/// The watching thread's work.
pub(crate) struct LogWatch {
    pub(crate) own: OwnTopic,
    pub(crate) positions: Arc<Positions>,
}

impl LogWatch {
    /// Starts the thread. It is never waited for: it owns nothing, and ends by itself soon after the service stops.
    pub(crate) fn start(self) -> io::Result<()> {
        thread::Builder::new().name("log-watch".to_owned()).spawn(move || self.run()).map(drop)
    }

    fn run(self) {
        let watcher = match Watcher::open(&self.own.kafka) {
            Ok(watcher) => watcher,
            // The relay's writer is refused for the same reason, and tells it.
            Err(error) => return tracing::debug!("the topic is not watched: {error}"),
        };
        let all: Vec<_> = (0..self.own.partitions).map(|partition| (self.own.topic, partition)).collect();
        let (mut before, mut looks) = (Vec::new(), 0);
        while !self.positions.wait_for_stop(LOOK_PAUSE) {
            match watcher.all_watermarks(&all) {
                Ok(now) => self.compare_ends(&mut before, now),
                // Kafka being away is the relay's news.
                Err(TopicError::Log(error)) => tracing::debug!("the topic cannot be looked at: {error}"),
                Err(error) => self.positions.set_log_fault(Some(error.to_string())),
            }
            if looks % LOOKS_PER_CHECK == 0 {
                self.check(&before);
            }
            looks += 1;
        }
    }

    fn compare_ends(&self, before: &mut Vec<Watermarks>, now: Vec<Watermarks>) {
        if let Some(reason) = went_back(&self.own.full_name(), before, &now) {
            self.positions.distrust_log(reason);
        }
        for (partition, marks) in now.iter().enumerate() {
            self.positions.check_end(partition, marks.high);
        }
        *before = now;
    }

    fn check(&self, marks: &[Watermarks]) {
        let fault = fault(&self.own, marks);
        if let Some(fault) = &fault {
            tracing::error!(topic = self.own.topic, "{fault}");
        }
        self.positions.set_log_fault(fault);
    }
}

/// The first partition whose end lies before where it was.
fn went_back(topic: &str, before: &[Watermarks], now: &[Watermarks]) -> Option<String> {
    let (partition, (before, now)) =
        (0..).zip(before.iter().zip(now)).find(|(_, (before, now))| now.high < before.high)?;
    let partition: i32 = partition;
    Some(format!(
        "topic {topic} partition {partition} ended at offset {} and now ends at offset {}: the log has lost its end",
        before.high, now.high
    ))
}

/// What would lose events, or has lost some, as far as Kafka answers.
fn fault(own: &OwnTopic, marks: &[Watermarks]) -> Option<String> {
    let changed = topics::check(&own.kafka, own.topic, own.partitions);
    if let Err(error @ (TopicError::PartitionCount { .. } | TopicError::WouldDropEvents { .. })) = changed {
        return Some(error.to_string());
    }
    let (partition, mark) = (0..).zip(marks).find(|(_, mark)| mark.low > 0)?;
    let partition: i32 = partition;
    (!own.kafka.embedded).then(|| {
        format!(
            "topic {} partition {partition} begins at offset {}: its first events were deleted, so neither this service's \
             store nor a read model can be rebuilt from it; restore the topic from a backup",
            own.full_name(),
            mark.low
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_went_back_is_named() {
        let marks =
            |ends: &[i64]| -> Vec<_> { ends.iter().map(|high| Watermarks { low: 0, high: *high }).collect() };
        assert_eq!(went_back("t", &[], &marks(&[3, 5])), None);
        assert_eq!(went_back("t", &marks(&[3, 5]), &marks(&[3, 6])), None);
        let said = went_back("t", &marks(&[3, 5]), &marks(&[4, 2])).unwrap();
        assert!(said.contains("topic t partition 1 ended at offset 5 and now ends at offset 2"), "{said}");
    }
}
