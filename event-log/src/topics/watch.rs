//! Looks at topics again and again: whether somebody has changed one so that its writer or its readers lose events.
//!
//! One look for all who count on a topic, the service that owns it and those that follow it. What is wrong is told in the
//! log once, when it is first seen, and once more when it is over; what it leads to is the caller's.

use std::collections::HashMap;

use super::create::Admin;
use super::ensure::{check_partitions, wrong_settings};
use super::inspector::Inspector;
use super::{TopicError, Watermarks};
use crate::{Kafka, LogError};

/// Looks at topics over a connection that is kept.
pub struct TopicWatch {
    kafka: Kafka,
    inspector: Inspector,
    known: HashMap<String, Known>,
}

/// What earlier looks at a topic have found.
#[derive(Default)]
struct Known {
    /// A topic that was never there is still to be created, which is no fault.
    was_there: bool,
    /// Whether it has been told that the broker does not say how the topic is.
    told_unknown: bool,
    faults: Vec<TopicError>,
}

impl TopicWatch {
    /// Does not wait for a broker.
    ///
    /// # Errors
    /// [`LogError::Settings`].
    pub fn open(kafka: &Kafka) -> Result<TopicWatch, LogError> {
        Ok(TopicWatch { kafka: kafka.clone(), inspector: Inspector::open(kafka)?, known: HashMap::new() })
    }

    /// As [`super::all_watermarks`].
    ///
    /// # Errors
    /// As [`super::all_watermarks`].
    pub fn all_watermarks<T: AsRef<str>>(
        &self,
        partitions: &[(T, i32)],
    ) -> Result<Vec<Watermarks>, TopicError> {
        self.inspector.all_watermarks(partitions)
    }

    /// What is wrong with these topics, each given by its bare name and the number of its partitions:
    /// [`TopicError::PartitionCount`], [`TopicError::WouldDropEvents`], [`TopicError::FrontDeleted`], and
    /// [`TopicError::Missing`] if it was there at an earlier look. While Kafka does not answer, it is what it was before.
    pub fn look<T: AsRef<str>>(&mut self, topics: &[(T, i32)]) -> Vec<TopicError> {
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

    fn faults(&self, topic: &str, partitions: i32) -> Result<Vec<TopicError>, TopicError> {
        let missing = || TopicError::Missing { topic: self.kafka.topic_name(topic) };
        let actual = self.inspector.partition_count(topic)?.ok_or_else(missing)?;
        let mut faults: Vec<_> =
            check_partitions(&self.kafka, topic, partitions, actual).err().into_iter().collect();
        // The embedded broker answers no admin requests, and drops the front of large partitions by its nature.
        if !self.kafka.embedded {
            // Not kept: while Kafka is away, another client would only say so once more.
            let settings = Admin::open(&self.kafka)?.settings(topic)?;
            faults.extend(wrong_settings(&self.kafka, topic, &settings));
            faults.extend(self.front_deleted(topic, partitions.min(actual))?);
        }
        Ok(faults)
    }

    /// The first partition of which that is so.
    fn front_deleted(&self, topic: &str, partitions: i32) -> Result<Option<TopicError>, TopicError> {
        let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
        let held = self.inspector.all_watermarks(&all)?;
        let front = (0..).zip(held).find(|(_, held): &(i32, Watermarks)| held.low > 0);
        Ok(front.map(|(partition, held)| TopicError::FrontDeleted {
            topic: self.kafka.topic_name(topic),
            partition,
            low: held.low,
        }))
    }
}

impl Known {
    fn take(&mut self, found: Result<Vec<TopicError>, TopicError>) {
        let faults = match found {
            Ok(faults) => {
                (self.was_there, self.told_unknown) = (true, false);
                faults
            }
            Err(missing @ TopicError::Missing { .. }) => {
                self.was_there.then_some(missing).into_iter().collect()
            }
            // Kafka being away is told by those who read and write.
            Err(TopicError::Log(error)) => return tracing::debug!("a topic is not looked at: {error}"),
            Err(error) => {
                if !self.told_unknown {
                    tracing::warn!("changes of a topic would not be noticed at present: {error}");
                }
                self.told_unknown = true;
                return;
            }
        };
        for fault in news(&self.faults, &faults) {
            tracing::error!("{fault}");
        }
        for fault in news(&faults, &self.faults) {
            tracing::info!("no longer so: {fault}");
        }
        self.faults = faults;
    }
}

/// Those of `now` that were not so before. That more and more of a front is deleted is told once.
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

    fn unreachable() -> TopicError {
        LogError::unreachable("nowhere", std::time::Duration::ZERO, None).into()
    }

    #[test]
    fn a_topic_that_was_never_there_is_no_fault_and_one_that_is_gone_is() {
        let mut known = Known::default();
        known.take(Err(missing()));
        assert_eq!(known.faults, []);
        known.take(Ok(Vec::new()));
        known.take(Err(missing()));
        assert_eq!(known.faults, [missing()]);
        known.take(Ok(Vec::new()));
        assert_eq!(known.faults, []);
    }

    #[test]
    fn while_kafka_does_not_answer_a_fault_stays() {
        let mut known = Known::default();
        known.take(Ok(vec![front(1)]));
        known.take(Err(unreachable()));
        assert_eq!(known.faults, [front(1)]);
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
