//! Admin requests: create a topic, read its settings.

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;

use super::inspector::ANSWER_TIMEOUT;
use super::{TopicError, TopicSpec};
use crate::client::Context;
use crate::{Kafka, LogError};

/// What a topic must say so that no event is ever dropped.
pub(super) const REQUIRED: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// With so many copies one of them can be away and still two have every acknowledged event.
const REPLICAS_FOR_TWO_IN_SYNC: i32 = 3;

pub(super) struct Admin<'a> {
    kafka: &'a Kafka,
    client: AdminClient<Context>,
}

impl<'a> Admin<'a> {
    pub(super) fn open(kafka: &'a Kafka) -> Result<Admin<'a>, LogError> {
        let client = kafka
            .inspector_config()
            .create_with_context(Context::default())
            .map_err(|error| LogError::Settings { reason: error.to_string() })?;
        Ok(Admin { kafka, client })
    }

    /// Creates the topic; one that somebody else has just created is as good.
    pub(super) fn create(&self, topic: &str, spec: &TopicSpec) -> Result<(), TopicError> {
        let full_topic = self.kafka.topic_name(topic);
        let new_topic = new_topic(&full_topic, spec);
        let results = block_on(self.client.create_topics([&new_topic], &options()));
        let refused = match results.map(|results| results.into_iter().next()) {
            Ok(Some(Ok(_)) | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)))) => return Ok(()),
            Ok(Some(Err((_, code)))) => code.to_string(),
            Ok(None) => "no answer about this topic".to_owned(),
            Err(error) => error.to_string(),
        };
        let TopicSpec { partitions, replication_factor } = *spec;
        Err(TopicError::Create { topic: full_topic, partitions, replication_factor, reason: refused })
    }

    pub(super) fn settings(&self, topic: &str) -> Result<ConfigResource, TopicError> {
        let full_topic = self.kafka.topic_name(topic);
        let results =
            block_on(self.client.describe_configs([&ResourceSpecifier::Topic(&full_topic)], &options()));
        let reason = match results.map(|results| results.into_iter().next()) {
            Ok(Some(Ok(settings))) => return Ok(settings),
            Ok(Some(Err(code))) => code.to_string(),
            Ok(None) => "no answer about this topic".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(TopicError::Inspect { topic: full_topic, what: "the settings", reason })
    }
}

fn new_topic<'a>(full_topic: &'a str, spec: &TopicSpec) -> NewTopic<'a> {
    let replication = TopicReplication::Fixed(spec.replication_factor);
    let mut topic = NewTopic::new(full_topic, spec.partitions, replication);
    for (setting, value) in REQUIRED {
        topic = topic.set(setting, value);
    }
    if spec.replication_factor >= REPLICAS_FOR_TWO_IN_SYNC {
        topic = topic.set("min.insync.replicas", "2");
    }
    topic
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}
