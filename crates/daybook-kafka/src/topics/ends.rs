//! What partitions hold, or why that cannot be told of some of them at present.
//!
//! Metadata is asked first: a partition without a leader is known by it, and is asked for no further. What the client
//! remembers of leaders is fresh by that, too. A leader that does not answer is waited for once, whatever it leads.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::inspector::{ANSWER_TIMEOUT, Inspector};
use super::{TopicError, Watermarks};
use crate::LogError;

/// How often a partition is asked for again that is just getting its leader.
const ELECTING_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What a partition holds, or [`TopicError::PartitionAway`].
pub type Held = Result<Watermarks, TopicError>;

struct Placed {
    /// None while there is none.
    leader: Option<i32>,
    replicas: Vec<i32>,
}

struct Asking<'i> {
    inspector: &'i Inspector,
    patience: Duration,
    began: Instant,
    /// Brokers that did not answer.
    silent: BTreeSet<i32>,
}

impl Inspector {
    /// What partitions hold, in the order asked for. Each leader may take as long as `patience`.
    pub fn held<T: AsRef<str>>(
        &self,
        partitions: &[(T, i32)],
        patience: Duration,
    ) -> Result<Vec<Held>, TopicError> {
        self.held_until(partitions, patience, &|| false)
    }

    /// The same, until nobody waits any more.
    pub(super) fn held_until<T: AsRef<str>>(
        &self,
        partitions: &[(T, i32)],
        patience: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Held>, TopicError> {
        self.serve_client();
        let mut topics: BTreeMap<&str, Vec<Placed>> = BTreeMap::new();
        for (topic, _) in partitions {
            if is_over() {
                return Err(LogError::GivenUp.into());
            }
            if !topics.contains_key(topic.as_ref()) {
                topics.insert(topic.as_ref(), self.placed(topic.as_ref(), patience)?);
            }
        }
        let mut asking = Asking { inspector: self, patience, began: Instant::now(), silent: BTreeSet::new() };
        let held = partitions.iter().map(|(topic, partition)| {
            let (topic, partition) = (topic.as_ref(), *partition);
            if is_over() {
                return Err(LogError::GivenUp.into());
            }
            let placed = usize::try_from(partition).ok().and_then(|index| topics.get(topic)?.get(index));
            let placed = placed.ok_or_else(|| LogError::NoSuchPartition {
                topic: self.kafka.topic_name(topic),
                partition,
            })?;
            match asking.held(topic, partition, placed) {
                Err(error) if !error.is_away() => Err(error),
                held => Ok(held),
            }
        });
        held.collect()
    }

    /// The same, where every one of them is needed.
    pub(super) fn all_watermarks<T: AsRef<str>>(
        &self,
        partitions: &[(T, i32)],
        patience: Duration,
    ) -> Result<Vec<Watermarks>, TopicError> {
        self.held(partitions, patience)?.into_iter().collect()
    }

    /// Whether the leader of every one of the topic's partitions answers for it; a topic just created has none for a moment.
    pub(super) fn leaders_answer(&self, topic: &str, partitions: i32) -> Result<bool, TopicError> {
        let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
        match self.held(&all, ANSWER_TIMEOUT) {
            Ok(held) => Ok(held.iter().all(Result::is_ok)),
            // The broker that was asked has not heard of it, or not of all of it.
            Err(TopicError::Missing { .. } | TopicError::Log(LogError::NoSuchPartition { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn placed(&self, topic: &str, patience: Duration) -> Result<Vec<Placed>, TopicError> {
        let placed = self.with_metadata(topic, patience, |found| {
            let mut partitions: Vec<_> = found.partitions().iter().collect();
            partitions.sort_by_key(|partition| partition.id());
            let placed = partitions.into_iter().map(|partition| Placed {
                leader: Some(partition.leader()).filter(|leader| *leader >= 0),
                replicas: partition.replicas().to_vec(),
            });
            placed.collect()
        })?;
        placed.ok_or_else(|| TopicError::Missing { topic: self.kafka.topic_name(topic) })
    }
}

impl Asking<'_> {
    fn held(&mut self, topic: &str, partition: i32, placed: &Placed) -> Held {
        let topic = self.inspector.kafka.topic_name(topic);
        let away = |waited: Duration, said: Option<String>| TopicError::PartitionAway {
            topic: topic.clone(),
            partition,
            leader: placed.leader,
            replicas: placed.replicas.clone(),
            waited_ms: waited.as_millis(),
            said,
        };
        let Some(leader) = placed.leader else { return Err(away(Duration::ZERO, None)) };
        if self.silent.contains(&leader) {
            return Err(away(self.patience, None));
        }
        loop {
            let asked = self.inspector.consumer.fetch_watermarks(&topic, partition, self.patience);
            match asked {
                Ok((low, high)) => return Ok(Watermarks { low, high }),
                Err(error) if is_of_the_partition(&error) && self.began.elapsed() < self.patience => {
                    thread::sleep(ELECTING_POLL_INTERVAL);
                }
                Err(error) if is_of_the_partition(&error) => {
                    return Err(away(self.began.elapsed(), Some(error.to_string())));
                }
                Err(error) if is_silence(&error) => {
                    self.inspector.serve_client();
                    self.silent.insert(leader);
                    return Err(away(self.patience, None));
                }
                Err(error) => return Err(self.inspector.failed(topic, "the offsets", &error, self.patience)),
            }
        }
    }
}

/// Whether the leader answers, and not for this partition. Of a topic just created, or after an election, metadata names one
/// that does not know yet that it is it: it may even say that there is no such topic, or that it knows no end yet. A disk of a
/// broker may fail as well. It says nothing of the others; what a user may not ask, or a broker does not understand, does.
fn is_of_the_partition(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::InvalidTopic
            | Code::InvalidRequest
            | Code::UnsupportedVersion,
        )
        | None => false,
        Some(Code::UnknownTopic | Code::UnknownPartition) => true,
        // The client has let go of a connection that it asked over, and has another one by now.
        Some(Code::DestroyBroker) => true,
        // A broker's words; librdkafka's own are below.
        Some(code) => code as i32 > 0,
    }
}

fn is_silence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::TimedOutQueue
                | Code::Resolve
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_a_broker_never_got_is_not_answered() {
        use RDKafkaErrorCode as Code;
        // Behind one that stands still, questions wait in the client.
        for code in [Code::OperationTimedOut, Code::TimedOutQueue, Code::BrokerTransportFailure] {
            assert!(is_silence(&KafkaError::MetadataFetch(code)), "{code:?}");
        }
        assert!(!is_silence(&KafkaError::MetadataFetch(Code::TopicAuthorizationFailed)));
    }

    #[test]
    fn what_a_leader_says_of_one_partition_says_nothing_of_the_others() {
        use RDKafkaErrorCode as Code;
        let of_the_partition = |code| is_of_the_partition(&KafkaError::MetadataFetch(code));
        for code in [
            Code::NotLeaderForPartition,
            Code::UnknownTopicOrPartition,
            Code::UnknownPartition,
            Code::OffsetNotAvailable,
            Code::ReplicaNotAvailable,
            Code::KafkaStorageError,
            Code::FencedLeaderEpoch,
            Code::UnknownLeaderEpoch,
            Code::DestroyBroker,
        ] {
            assert!(of_the_partition(code), "{code:?}");
        }
        for code in [Code::TopicAuthorizationFailed, Code::OperationTimedOut, Code::AllBrokersDown] {
            assert!(!of_the_partition(code), "{code:?}");
        }
    }
}
