//! A client that only asks.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::types::RDKafkaRespErr;

use super::TopicError;
use crate::client::Context;
use crate::{Kafka, LogError};

/// How long one question may take. A broker that is up answers within milliseconds; one that is just starting or
/// electing leaders takes some seconds.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
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
        use RDKafkaErrorCode::{BrokerTransportFailure, DestroyBroker, OperationTimedOut, TimedOutQueue};
        let ask = || self.consumer.fetch_metadata(Some(full_topic), patience / METADATA_TRIES);
        let mut answer = ask();
        for _ in 1..METADATA_TRIES {
            let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            let is_silence = matches!(
                code,
                Some(BrokerTransportFailure | DestroyBroker | OperationTimedOut | TimedOutQueue)
            );
            if !is_silence {
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
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::DestroyBroker
                | Code::OperationTimedOut
                | Code::TimedOutQueue
                | Code::Resolve
                | Code::Authentication,
            ) => self.unreachable(waited).into(),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => TopicError::Missing { topic },
            _ => TopicError::Inspect { topic, what, reason: error.to_string() },
        }
    }

    fn unreachable(&self, waited: Duration) -> LogError {
        LogError::unreachable(&self.kafka.brokers, waited, self.consumer.client().context().last_error())
    }

    // Log lines and errors wait inside the client until somebody asks for them.
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
