//! A client that only asks: who is there, and what partitions hold, or why that is not known of some of them at present.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::types::RDKafkaRespErr;

use super::{TopicError, Watermarks};
use crate::client::Context;
use crate::{Kafka, LogError};

/// How long one question may take. A broker that is up answers within milliseconds; one that is just starting or
/// electing leaders takes some seconds.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long to wait for an answer before log lines are written out again.
const REACHABLE_STEP: Duration = Duration::from_millis(500);

/// How many brokers are asked about a topic before it counts as not answered.
const METADATA_TRIES: u32 = 3;

/// A client that asks: kept over many looks it does not begin each time with the same words in the log.
pub struct Inspector {
    pub(super) kafka: Kafka,
    pub(super) consumer: BaseConsumer<Context>,
}

impl Inspector {
    pub fn open(kafka: &Kafka) -> Result<Inspector, LogError> {
        let consumer = kafka
            .inspector_config()
            .create_with_context(Context::default())
            .map_err(|error| LogError::Settings { reason: error.to_string() })?;
        Ok(Inspector { kafka: kafka.clone(), consumer })
    }

    /// As [`super::wait_reachable_until`].
    pub fn wait_reachable(&self, deadline: Duration, is_over: impl Fn() -> bool) -> Result<String, LogError> {
        let began = Instant::now();
        loop {
            let left = deadline.saturating_sub(began.elapsed());
            let cluster = self.consumer.client().fetch_cluster_id(left.min(REACHABLE_STEP));
            self.serve_client();
            if let Some(cluster) = cluster {
                return Ok(if self.kafka.embedded { String::new() } else { cluster });
            }
            if began.elapsed() >= deadline || is_over() {
                return Err(self.unreachable(began.elapsed()));
            }
        }
    }

    /// As [`super::partition_count`], where the answer may take so long.
    pub fn partition_count(&self, topic: &str, patience: Duration) -> Result<Option<i32>, TopicError> {
        self.with_metadata(topic, patience, |found| {
            i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)
        })
    }

    /// What the brokers say of a topic; none if there is no such topic.
    pub(super) fn with_metadata<T>(
        &self,
        topic: &str,
        patience: Duration,
        take: impl Fn(&MetadataTopic) -> T,
    ) -> Result<Option<T>, TopicError> {
        let full_topic = self.kafka.topic_name(topic);
        let metadata = self
            .metadata(&full_topic, patience)
            .map_err(|error| self.failed(full_topic.clone(), "the partitions", &error, patience))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == full_topic) else {
            return Ok(None);
        };
        let is_there = is_there(found.error()).map_err(|error| TopicError::Inspect {
            topic: full_topic,
            what: "the partitions",
            reason: RDKafkaErrorCode::from(error).to_string(),
        })?;
        Ok(is_there.then(|| take(found)))
    }

    // Any broker may be asked; one that stands still takes the question and never answers it.
    fn metadata(&self, full_topic: &str, patience: Duration) -> Result<Metadata, KafkaError> {
        let ask = || self.consumer.fetch_metadata(Some(full_topic), patience / METADATA_TRIES);
        let mut answer = ask();
        for _ in 1..METADATA_TRIES {
            if !answer.as_ref().is_err_and(|error| is_silence(error) || is_let_go(error)) {
                break;
            }
            answer = ask();
        }
        answer
    }

    pub(super) fn failed(
        &self,
        topic: String,
        what: &'static str,
        error: &KafkaError,
        waited: Duration,
    ) -> TopicError {
        use RDKafkaErrorCode as Code;
        self.serve_client();
        match error.rdkafka_error_code() {
            Some(Code::Authentication) => self.unreachable(waited).into(),
            _ if is_silence(error) || is_let_go(error) => self.unreachable(waited).into(),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => TopicError::Missing { topic },
            _ => TopicError::Inspect { topic, what, reason: error.to_string() },
        }
    }

    fn unreachable(&self, waited: Duration) -> LogError {
        LogError::unreachable(&self.kafka.brokers, waited, self.consumer.client().context().last_error())
    }

    // Log lines and errors wait inside the client until they are asked for.
    pub(super) fn serve_client(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }
}

/// Whether there is a topic of which the brokers say this; one whose partitions have no leader at present is there.
fn is_there(error: Option<RDKafkaRespErr>) -> Result<bool, RDKafkaRespErr> {
    use RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as NO_LEADER_YET;
    use RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as UNKNOWN;
    match error {
        None | Some(NO_LEADER_YET) => Ok(true),
        Some(UNKNOWN) => Ok(false),
        Some(error) => Err(error),
    }
}

// Metadata is asked first: a partition without a leader is known by it, and is asked for no further. What the client
// remembers of leaders is fresh by that, too. A leader that does not answer is waited for once, whatever it leads.

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

    /// The same, until `is_over` says so.
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
        Some(_) if is_let_go(error) => true,
        // A broker's words; librdkafka's own are below.
        Some(code) => code as i32 > 0,
    }
}

/// The client has let go of a connection that it asked over, and has another one by now.
fn is_let_go(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::DestroyBroker)
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
    fn a_topic_without_a_leader_is_there_and_one_that_may_not_be_seen_is_not_missing() {
        use RDKafkaRespErr::{
            RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        };
        assert_eq!(is_there(None), Ok(true));
        assert_eq!(is_there(Some(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)), Ok(true));
        assert_eq!(is_there(Some(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)), Ok(false));
        assert!(is_there(Some(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)).is_err());
    }
}

#[cfg(test)]
mod ends_tests {
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
