//! Looks at topics again and again: whether one was changed so that its writer or its readers lose events.
//!
//! One look for all who count on a topic, the service that owns it and those that follow it. What is wrong is reported in the
//! log once, when it is first seen, and once more when it is over; what it leads to is the caller's.

use std::collections::HashMap;
use std::time::Duration;

use super::ensure::{Admin, check_partitions, wrong_settings};
use super::inspector::Inspector;
use super::{Held, TopicError, Watermarks};
use crate::{Kafka, LogError};

/// How long a leader may take to answer: the ends of the other partitions are waited for as well.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// How long the settings may take, for which a connection is made each time: longer than one that leads to a broker that stands
/// still, and is given up for another one.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(5);

pub struct TopicWatch {
    kafka: Kafka,
    inspector: Inspector,
    known: HashMap<String, Known>,
}

#[derive(Default)]
struct Known {
    /// A topic that was never there is still to be created, which is no fault.
    was_there: bool,
    /// Whether it was reported that something of it cannot be checked.
    reported_unknown: bool,
    faults: Vec<TopicError>,
}

#[derive(Default)]
struct Found {
    faults: Vec<TopicError>,
    /// Why its settings could not be looked at; to read them takes a right of its own.
    settings_unknown: Option<TopicError>,
}

impl TopicWatch {
    pub fn open(kafka: &Kafka) -> Result<TopicWatch, LogError> {
        Ok(TopicWatch { kafka: kafka.clone(), inspector: Inspector::open(kafka)?, known: HashMap::new() })
    }

    /// As [`super::held_until`], but a leader that does not answer is not waited for as long.
    pub fn held<T: AsRef<str>>(&self, partitions: &[(T, i32)]) -> Result<Vec<Held>, TopicError> {
        self.inspector.held(partitions, LOOK_PATIENCE)
    }

    /// What is wrong with these topics, each given by its bare name and the number of its partitions:
    /// [`TopicError::PartitionCount`], [`TopicError::WouldDropEvents`], [`TopicError::FrontDeleted`], and
    /// [`TopicError::Missing`] if it was there at an earlier look. While Kafka does not answer, it is what it was before.
    pub fn check<T: AsRef<str>>(&mut self, topics: &[(T, i32)]) -> Vec<TopicError> {
        let (mut faults, mut away) = (Vec::new(), false);
        for (topic, partitions) in topics {
            let topic = topic.as_ref();
            // One question without an answer takes long enough.
            let found = (!away).then(|| self.faults(topic, *partitions));
            away |= matches!(found, Some(Err(TopicError::Log(_))));
            let known = self.known.entry(topic.to_owned()).or_default();
            if let Some(found) = found {
                known.take(found);
            }
            faults.extend(known.faults.iter().cloned());
        }
        faults
    }

    fn faults(&self, topic: &str, partitions: i32) -> Result<Found, TopicError> {
        let missing = || TopicError::Missing { topic: self.kafka.topic_name(topic) };
        let actual = self.inspector.partition_count(topic, LOOK_PATIENCE)?.ok_or_else(missing)?;
        let mut found = Found::default();
        found.faults.extend(check_partitions(&self.kafka, topic, partitions, actual).err());
        // The embedded broker answers no admin requests, and drops the front of large partitions by its nature.
        if !self.kafka.embedded {
            // Not kept: while Kafka is away, another client would only say so once more.
            match Admin::open(&self.kafka)?.settings(topic, SETTINGS_PATIENCE) {
                Ok(settings) => found.faults.extend(wrong_settings(&self.kafka, topic, &settings)),
                Err(error @ TopicError::Log(_)) => return Err(error),
                Err(error) => found.settings_unknown = Some(error),
            }
            found.faults.extend(self.front_deleted(topic, partitions.min(actual))?);
        }
        Ok(found)
    }

    /// The first partition of which that is known.
    fn front_deleted(&self, topic: &str, partitions: i32) -> Result<Option<TopicError>, TopicError> {
        let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
        let mut held =
            (0..).zip(self.held(&all)?).filter_map(|(partition, held)| Some((partition, held.ok()?)));
        let front = held.find(|(_, held): &(i32, Watermarks)| held.low > 0);
        Ok(front.map(|(partition, held)| TopicError::FrontDeleted {
            topic: self.kafka.topic_name(topic),
            partition,
            low: held.low,
        }))
    }
}

impl Known {
    fn take(&mut self, found: Result<Found, TopicError>) {
        let faults = match found {
            Ok(Found { mut faults, settings_unknown }) => {
                self.was_there = true;
                if settings_unknown.is_some() {
                    let of_settings =
                        |fault: &&TopicError| matches!(fault, TopicError::WouldDropEvents { .. });
                    faults.extend(self.faults.iter().filter(of_settings).cloned());
                }
                self.report_unknown(settings_unknown.as_ref());
                faults
            }
            Err(missing @ TopicError::Missing { .. }) => {
                self.was_there.then_some(missing).into_iter().collect()
            }
            // Readers and writers report that Kafka is away.
            Err(TopicError::Log(error)) => return tracing::debug!("a topic is not checked: {error}"),
            Err(error) => return self.report_unknown(Some(&error)),
        };
        for fault in news(&self.faults, &faults) {
            tracing::error!("{fault}");
        }
        for fault in news(&faults, &self.faults) {
            tracing::info!("resolved: {fault}");
        }
        self.faults = faults;
    }

    /// Once, until it is known again.
    fn report_unknown(&mut self, why: Option<&TopicError>) {
        if let Some(error) = why.filter(|_| !self.reported_unknown) {
            tracing::warn!("changes of a topic cannot be noticed at present: {error}");
        }
        self.reported_unknown = why.is_some();
    }
}

/// Those of `now` that were not so before. That more and more of a front is deleted is reported once.
fn news<'f>(before: &'f [TopicError], now: &'f [TopicError]) -> impl Iterator<Item = &'f TopicError> {
    let is_front = |fault: &TopicError| matches!(fault, TopicError::FrontDeleted { .. });
    now.iter()
        .filter(move |fault| !before.iter().any(|was| was == *fault || (is_front(was) && is_front(fault))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> TopicError {
        TopicError::Missing { topic: "t".to_owned() }
    }

    fn front(low: i64) -> TopicError {
        TopicError::FrontDeleted { topic: "t".to_owned(), partition: 0, low }
    }

    fn compacted() -> TopicError {
        let (topic, brokers) = ("t".to_owned(), "b:1".to_owned());
        TopicError::WouldDropEvents {
            topic,
            brokers,
            setting: "cleanup.policy",
            value: "compact".to_owned(),
            required: "delete",
        }
    }

    fn refused() -> TopicError {
        TopicError::Inspect { topic: "t".to_owned(), what: "the settings", reason: "denied".to_owned() }
    }

    fn found(faults: &[TopicError], settings_unknown: Option<TopicError>) -> Result<Found, TopicError> {
        Ok(Found { faults: faults.to_vec(), settings_unknown })
    }

    fn unreachable() -> TopicError {
        LogError::unreachable("nowhere", Duration::ZERO, None).into()
    }

    #[test]
    fn a_topic_that_was_never_there_is_no_fault_and_one_that_is_gone_is() {
        let mut known = Known::default();
        known.take(Err(missing()));
        assert_eq!(known.faults, []);
        known.take(Ok(Found::default()));
        known.take(Err(missing()));
        assert_eq!(known.faults, [missing()]);
        known.take(Ok(Found::default()));
        assert_eq!(known.faults, []);
    }

    #[test]
    fn while_kafka_does_not_answer_a_fault_stays() {
        let mut known = Known::default();
        known.take(found(&[front(1)], None));
        known.take(Err(unreachable()));
        assert_eq!(known.faults, [front(1)]);
    }

    #[test]
    fn without_the_right_to_read_settings_all_else_is_noticed() {
        let mut known = Known::default();
        known.take(found(&[compacted()], None));
        known.take(found(&[front(1)], Some(refused())));
        assert_eq!(
            known.faults,
            [front(1), compacted()],
            "a setting that was wrong counts until it is seen again"
        );
        assert!(known.reported_unknown);
        known.take(found(&[], None));
        assert!(known.faults.is_empty() && !known.reported_unknown);
    }

    #[test]
    fn a_fault_is_news_once_also_while_it_grows() {
        let (first, grown) = ([front(1)], [front(2), missing()]);
        assert_eq!(news(&[], &first).collect::<Vec<_>>(), [&front(1)]);
        assert_eq!(news(&first, &first).count(), 0);
        assert_eq!(news(&first, &grown).collect::<Vec<_>>(), [&missing()]);
        assert_eq!(news(&grown, &first).count(), 0);
        assert_eq!(news(&first, &[]).count(), 0);
    }
}
