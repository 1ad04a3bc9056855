//! A client that only asks.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;

use super::{TopicError, Watermarks};
use crate::client::Context;
use crate::{Kafka, LogError};

/// How long one question may take. A broker that is up answers within milliseconds; one that is just starting or
/// electing leaders takes some seconds.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long to wait for an answer before log lines are written out again.
const REACHABLE_STEP: Duration = Duration::from_millis(500);

/// How often a partition is asked for again that is just getting its leader.
const ELECTING_POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Inspector {
    kafka: Kafka,
    consumer: BaseConsumer<Context>,
}

impl Inspector {
    pub(super) fn open(kafka: &Kafka) -> Result<Inspector, LogError> {
        let consumer = kafka
            .inspector_config()
            .create_with_context(Context::default())
            .map_err(|error| LogError::Settings { reason: error.to_string() })?;
        Ok(Inspector { kafka: kafka.clone(), consumer })
    }

    pub(super) fn wait_reachable(&self, deadline: Duration) -> Result<String, LogError> {
        let began = Instant::now();
        loop {
            let left = deadline.saturating_sub(began.elapsed());
            let cluster = self.consumer.client().fetch_cluster_id(left.min(REACHABLE_STEP));
            self.serve_client();
            if let Some(cluster) = cluster {
                return Ok(if self.kafka.embedded { String::new() } else { cluster });
            }
            if began.elapsed() >= deadline {
                return Err(self.unreachable(deadline));
            }
        }
    }

    pub(super) fn partition_count(&self, topic: &str) -> Result<Option<i32>, TopicError> {
        self.with_metadata(topic, |found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX))
    }

    /// Whether every one of the topic's partitions has a leader; a topic just created has none for a moment.
    pub(super) fn has_leaders(&self, topic: &str, partitions: i32) -> Result<bool, TopicError> {
        let leaders = self.with_metadata(topic, |found| {
            found.partitions().iter().filter(|partition| partition.leader() >= 0).count()
        })?;
        Ok(leaders.is_some_and(|leaders| i32::try_from(leaders) == Ok(partitions)))
    }

    /// Whether the leader of every one of the topic's partitions answers for it. One that has only just become the leader
    /// says for a moment that there is no such topic.
    pub(super) fn leaders_answer(&self, topic: &str, partitions: i32) -> Result<bool, TopicError> {
        for partition in 0..partitions {
            match self.watermarks(topic, partition) {
                Ok(_) => {}
                Err(TopicError::Missing { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, TopicError> {
        let full_topic = self.kafka.topic_name(topic);
        let began = Instant::now();
        loop {
            let left = ANSWER_TIMEOUT.saturating_sub(began.elapsed());
            match self.consumer.fetch_watermarks(&full_topic, partition, left) {
                Ok((low, high)) => return Ok(Watermarks { low, high }),
                Err(error) if is_electing(&error) && !left.is_zero() => thread::sleep(ELECTING_POLL_INTERVAL),
                Err(error) => return Err(self.failed(full_topic, "the offsets", &error)),
            }
        }
    }

    pub(super) fn all_watermarks<T: AsRef<str>>(
        &self,
        partitions: &[(T, i32)],
    ) -> Result<Vec<Watermarks>, TopicError> {
        self.serve_client();
        partitions.iter().map(|(topic, partition)| self.watermarks(topic.as_ref(), *partition)).collect()
    }

    fn with_metadata<T>(
        &self,
        topic: &str,
        take: impl Fn(&MetadataTopic) -> T,
    ) -> Result<Option<T>, TopicError> {
        use RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as NO_LEADER_YET;
        use RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as UNKNOWN;
        let full_topic = self.kafka.topic_name(topic);
        let metadata = self
            .consumer
            .fetch_metadata(Some(&full_topic), ANSWER_TIMEOUT)
            .map_err(|error| self.failed(full_topic.clone(), "the partitions", &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == full_topic) else {
            return Ok(None);
        };
        match found.error() {
            None | Some(NO_LEADER_YET) => Ok(Some(take(found))),
            Some(UNKNOWN) => Ok(None),
            Some(error) => Err(TopicError::Inspect {
                topic: full_topic,
                what: "the partitions",
                reason: RDKafkaErrorCode::from(error).to_string(),
            }),
        }
    }

    fn failed(&self, topic: String, what: &'static str, error: &KafkaError) -> TopicError {
        use RDKafkaErrorCode as Code;
        self.serve_client();
        match error.rdkafka_error_code() {
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::Resolve
                | Code::Authentication,
            ) => self.unreachable(ANSWER_TIMEOUT).into(),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                TopicError::Missing { topic }
            }
            _ => TopicError::Inspect { topic, what, reason: error.to_string() },
        }
    }

    fn unreachable(&self, waited: Duration) -> LogError {
        LogError::unreachable(&self.kafka.brokers, waited, self.consumer.client().context().last_error())
    }

    // Log lines and errors wait inside the client until somebody asks for them.
    fn serve_client(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }
}

/// A topic just created, or a broker just back: metadata names a leader that does not know yet that it is one.
fn is_electing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable))
}
