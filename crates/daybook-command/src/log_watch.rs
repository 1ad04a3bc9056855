//! Looks at topics while the service runs: whether the end of the own one went back, whether another process writes it,
//! whether it was changed, or one that is followed, so that it loses events, and whether those that are followed are still
//! the same logs.
//!
//! An end that went back, or that lies further on than what this service has sent, makes the relay compare log and store
//! at once. Partitions that were added to a topic that is followed stop the following. Everything else is told in the log
//! and by `/health/ready` as long as it lasts, and commands go on.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use daybook_event::doubt::{Followed, Reading, Readings};
use daybook_kafka::topics::{Held, TopicError, Watermarks};
use daybook_service::Slot;
use daybook_stream::{BrokerMonitor, Watched};

use crate::follow::positions::{FollowedPositions, FollowedTo, TablePartition};
use crate::metrics::Metrics;
use crate::outbox::positions::Positions;
use crate::reconcile::OwnTopic;

/// Pause between two looks at the ends: how long a log that went back by an election may go unseen.
const CHECK_PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct LogWatch {
    pub(crate) own: OwnTopic,
    pub(crate) positions: Arc<Positions>,
    pub(crate) followed: Arc<FollowedPositions>,
    pub(crate) metrics: Arc<Metrics>,
    /// Why the follower is to look for its places again.
    pub(crate) doubt: Slot<String>,
    pub(crate) readings: Readings,
}

impl LogWatch {
    /// Starts the thread, which ends by itself soon after the service stops.
    pub(crate) fn start(self) -> io::Result<()> {
        let (kafka, positions) = (self.own.kafka.clone(), Arc::clone(&self.positions));
        let all: Vec<_> = (0..self.own.partitions).map(|partition| (self.own.topic, partition)).collect();
        let mut before = vec![None; all.len()];
        let turn = move |monitor: &mut BrokerMonitor| self.turn(monitor, &all, &mut before);
        BrokerMonitor::start("log-watch", kafka, turn, move || positions.wait_for_stop(CHECK_PAUSE))
    }

    fn turn(
        &self,
        monitor: &mut BrokerMonitor,
        all: &[(&'static str, i32)],
        before: &mut [Option<Watermarks>],
    ) {
        match monitor.held(all) {
            Ok(now) => self.compare_ends(before, &now),
            // Kafka being away is the relay's news.
            Err(error) => tracing::debug!("the ends of the topic cannot be read: {error}"),
        }
        self.listen(monitor);
        if monitor.is_look_due() {
            self.check(monitor);
        }
    }

    /// An end that is not told at present is compared with the last one that was.
    fn compare_ends(&self, before: &mut [Option<Watermarks>], now: &[Held]) {
        if let Some((partition, reason)) = went_back(&self.own.full_name(), before, now) {
            self.positions.distrust_log(partition, reason);
        }
        let mut unanswered = BTreeMap::new();
        for (partition, (before, now)) in before.iter_mut().zip(now).enumerate() {
            match now {
                Ok(marks) => {
                    self.positions.check_end(partition, marks.high);
                    *before = Some(*marks);
                }
                Err(away) => drop(unanswered.insert(partition, away.to_string())),
            }
        }
        self.positions.set_unanswered(unanswered);
    }

    /// Which partitions that are followed can be heard at present, and whether they are still what is followed.
    fn listen(&self, monitor: &mut BrokerMonitor) {
        let (places, follows) = (self.followed.places(), self.followed.follows());
        let name =
            |((table, partition), _): &(TablePartition, FollowedTo)| (follows[*table].topic, *partition);
        let all: Vec<_> = places.iter().map(name).collect();
        if all.is_empty() {
            return;
        }
        // Before the ends: what is read meanwhile may lie behind them.
        let readings = self.readings.all(places.len());
        let held = monitor.held(&all);
        let held = held.unwrap_or_else(|error| places.iter().map(|_| Err(error.clone())).collect());
        self.followed.set_answers(places.iter().map(|(place, _)| *place).zip(&held));
        let watched = |(((place, at), held), reading): ((&(TablePartition, FollowedTo), Held), Reading)| {
            let (topic, partition) = (follows[place.0].topic, place.1);
            let followed =
                |Watermarks { low, high }| Followed { next_offset: at.next_offset, low, high, reading };
            Watched { topic, partition, followed: held.ok().map(followed) }
        };
        let watched: Vec<_> = places.iter().zip(held).zip(readings).map(watched).collect();
        if let Some(reason) = monitor.doubt(&watched, &|| false) {
            self.doubt.set(reason);
        }
    }

    fn check(&self, monitor: &mut BrokerMonitor) {
        let own = monitor.check(&[(self.own.topic, self.own.partitions)]);
        let followed = monitor.check(&self.followed.topics());
        self.metrics.topic_faults.set((own.len() + followed.len()) as u64);
        self.positions.set_log_fault(sentence(&own));
        self.followed.set_faults(followed);
    }
}

/// The first partition whose end lies before where it was, and what to say of it.
fn went_back(topic: &str, before: &[Option<Watermarks>], now: &[Held]) -> Option<(i32, String)> {
    (0..).zip(before.iter().zip(now)).find_map(|(partition, (before, now))| {
        let (before, now) = (before.as_ref()?.high, now.as_ref().ok()?.high);
        let said = format!(
            "topic {topic} partition {partition} ended at offset {before} and now ends at offset {now}: the log has lost its end"
        );
        (now < before).then_some((partition, said))
    })
}

/// All of them as one text; none if there are none.
pub(crate) fn sentence(faults: &[TopicError]) -> Option<String> {
    let sentences: Vec<_> = faults.iter().map(TopicError::to_string).collect();
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_went_back_is_named() {
        let marks = |high| Watermarks { low: 0, high };
        let before = |ends: [i64; 2]| ends.map(|end| Some(marks(end)));
        let now = |ends: [i64; 2]| ends.map(|end| Held::Ok(marks(end)));
        assert_eq!(went_back("t", &[None, None], &now([3, 5])), None);
        assert_eq!(went_back("t", &before([3, 5]), &now([3, 6])), None);
        let (partition, said) = went_back("t", &before([3, 5]), &now([4, 2])).unwrap();
        assert_eq!(partition, 1);
        assert!(said.contains("topic t partition 1 ended at offset 5 and now ends at offset 2"), "{said}");
        let away = Err(TopicError::Missing { topic: "t".to_owned() });
        let (partition, _) = went_back("t", &before([3, 5]), &[away, now([0, 4])[1].clone()]).unwrap();
        assert_eq!(partition, 1, "one that is away hides no other");
    }
}
