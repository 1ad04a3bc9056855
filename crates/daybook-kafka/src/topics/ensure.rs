//! A topic as Daybook needs it, or a refusal.

use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::inspector::{ANSWER_TIMEOUT, Inspector};
use super::{TopicError, TopicSpec};
use crate::client::Context;
use crate::{Kafka, LogError};

/// How often a topic just created is looked for.
const CREATED_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Creates the topic if it is missing (it keeps everything for ever) and checks that it has the expected partitions and
/// no setting by which Kafka would drop events. Writes nothing to a topic that exists. On the embedded broker, which
/// answers no admin requests, only the partitions are checked.
/// Errors: [`TopicError::PartitionCount`], [`TopicError::WouldDropEvents`], [`TopicError::Create`], [`TopicError::Missing`]
/// (only on the embedded broker), [`TopicError::Inspect`], [`TopicError::Log`] if no broker answers.
pub fn ensure(kafka: &Kafka, topic: &str, spec: &TopicSpec) -> Result<(), TopicError> {
    let inspector = Inspector::open(kafka)?;
    let existing = inspector.partition_count(topic, ANSWER_TIMEOUT)?;
    if kafka.embedded {
        let actual = existing.ok_or_else(|| TopicError::Missing { topic: kafka.topic_name(topic) })?;
        return check_partitions(kafka, topic, spec.partitions, actual);
    }
    let admin = Admin::open(kafka)?;
    let actual = match existing {
        Some(actual) => actual,
        None => {
            admin.create(topic, spec)?;
            wait_created(kafka, &inspector, topic, spec)?
        }
    };
    check_partitions(kafka, topic, spec.partitions, actual)?;
    check_settings(kafka, topic, &admin.settings(topic, ANSWER_TIMEOUT)?)
}

pub(super) fn check_partitions(
    kafka: &Kafka,
    topic: &str,
    expected: i32,
    actual: i32,
) -> Result<(), TopicError> {
    if expected == actual {
        return Ok(());
    }
    Err(TopicError::PartitionCount { topic: kafka.topic_name(topic), expected, actual })
}

// The controller has created it, but the broker that we ask may learn that a moment later.
fn wait_created(
    kafka: &Kafka,
    inspector: &Inspector,
    topic: &str,
    spec: &TopicSpec,
) -> Result<i32, TopicError> {
    let began = Instant::now();
    loop {
        if let Some(actual) = inspector.partition_count(topic, ANSWER_TIMEOUT)?
            && inspector.leaders_answer(topic, actual)?
        {
            tracing::info!(topic = kafka.topic_name(topic), partitions = actual, "topic created");
            return Ok(actual);
        }
        if began.elapsed() >= ANSWER_TIMEOUT {
            return Err(TopicError::Create {
                topic: kafka.topic_name(topic),
                partitions: spec.partitions,
                replication_factor: spec.replication_factor,
                reason: "its partitions still have no leader that answers".to_owned(),
            });
        }
        thread::sleep(CREATED_POLL_INTERVAL);
    }
}

fn check_settings(kafka: &Kafka, topic: &str, settings: &ConfigResource) -> Result<(), TopicError> {
    if let Some(wrong) = wrong_settings(kafka, topic, settings).next() {
        return Err(wrong);
    }
    warn_about_weak_settings(kafka, topic, settings);
    Ok(())
}

/// A [`TopicError::WouldDropEvents`] for each setting by which Kafka would.
pub(super) fn wrong_settings(
    kafka: &Kafka,
    topic: &str,
    settings: &ConfigResource,
) -> impl Iterator<Item = TopicError> {
    let value = |setting| settings.get(setting).and_then(|entry| entry.value.as_deref()).unwrap_or("unknown");
    let wrong = REQUIRED.into_iter().filter(move |(setting, required)| value(*setting) != *required);
    wrong.map(move |(setting, required)| TopicError::WouldDropEvents {
        topic: kafka.topic_name(topic),
        brokers: kafka.brokers.clone(),
        setting,
        value: value(setting).to_owned(),
        required,
    })
}

// Events are not dropped by these, but an acknowledged one can be lost with a broker.
fn warn_about_weak_settings(kafka: &Kafka, topic: &str, settings: &ConfigResource) {
    let elects_unclean = settings
        .get("unclean.leader.election.enable")
        .is_some_and(|entry| entry.value.as_deref() == Some("true"));
    if elects_unclean {
        tracing::warn!(
            topic = kafka.topic_name(topic),
            "unclean.leader.election.enable is true: acknowledged events may be lost when a broker fails"
        );
    }
}

/// What a topic must say so that no event is ever dropped.
pub(super) const REQUIRED: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// Pause before a broker that does not know a topic yet is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// With so many copies one of them can be away and still two have every acknowledged event.
const REPLICAS_FOR_TWO_IN_SYNC: i32 = 3;

pub(super) struct Admin {
    kafka: Kafka,
    client: AdminClient<Context>,
}

impl Admin {
    pub(super) fn open(kafka: &Kafka) -> Result<Admin, LogError> {
        let client = kafka
            .inspector_config()
            .create_with_context(Context::default())
            .map_err(|error| LogError::Settings { reason: error.to_string() })?;
        Ok(Admin { kafka: kafka.clone(), client })
    }

    /// Creates the topic; one that another process has just created is as good.
    pub(super) fn create(&self, topic: &str, spec: &TopicSpec) -> Result<(), TopicError> {
        let full_topic = self.kafka.topic_name(topic);
        let new_topic = new_topic(&full_topic, spec);
        let results = block_on(self.client.create_topics([&new_topic], &options(ANSWER_TIMEOUT)));
        let refused = match results.map(|results| results.into_iter().next()) {
            Ok(Some(Ok(_)) | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)))) => return Ok(()),
            Ok(Some(Err((_, code)))) => code.to_string(),
            Ok(None) => "no answer about this topic".to_owned(),
            Err(error) => error.to_string(),
        };
        let TopicSpec { partitions, replication_factor } = *spec;
        Err(TopicError::Create { topic: full_topic, partitions, replication_factor, reason: refused })
    }

    /// Settings of a topic, where the answer may take so long. Of one that was just created, the broker that answers may not know
    /// them yet: it is asked again.
    pub(super) fn settings(&self, topic: &str, patience: Duration) -> Result<ConfigResource, TopicError> {
        let full_topic = self.kafka.topic_name(topic);
        let began = Instant::now();
        loop {
            let reason = match self.describe(&full_topic, patience) {
                Ok(settings) if are_known(&settings) => return Ok(settings),
                Ok(_) | Err(Undescribed::Unknown) if began.elapsed() < patience => {
                    thread::sleep(ASK_AGAIN);
                    continue;
                }
                Ok(_) | Err(Undescribed::Unknown) => "the broker that answers does not know them".to_owned(),
                Err(Undescribed::Refused(reason)) => reason,
                Err(Undescribed::Unanswered) => return Err(self.unreachable(patience).into()),
            };
            return Err(TopicError::Inspect { topic: full_topic, what: "the settings", reason });
        }
    }

    fn describe(&self, full_topic: &str, patience: Duration) -> Result<ConfigResource, Undescribed> {
        let resource = ResourceSpecifier::Topic(full_topic);
        let results = block_on(self.client.describe_configs([&resource], &options(patience)));
        match results.map(|results| results.into_iter().next()) {
            Ok(Some(Ok(settings))) => Ok(settings),
            Ok(Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition))) => Err(Undescribed::Unknown),
            Ok(Some(Err(code))) => Err(Undescribed::Refused(code.to_string())),
            Ok(None) => Err(Undescribed::Refused("no answer about this topic".to_owned())),
            Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)) => Err(Undescribed::Unanswered),
            Err(error) => Err(Undescribed::Refused(error.to_string())),
        }
    }

    fn unreachable(&self, waited: Duration) -> LogError {
        let said = self.client.inner().context().last_error();
        LogError::unreachable(&self.kafka.brokers, waited, said)
    }
}

enum Undescribed {
    Unknown,
    Refused(String),
    Unanswered,
}

/// A broker that does not know a topic yet may answer without any setting.
fn are_known(settings: &ConfigResource) -> bool {
    let known = |setting| settings.get(setting).is_some_and(|entry| entry.value.is_some());
    REQUIRED.iter().all(|(setting, _)| known(setting))
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

fn options(patience: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience))
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;

    #[test]
    fn settings_are_known_once_all_are_there_that_must_be_right() {
        let entry = |(name, value): (&str, &str)| ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        let specifier = OwnedResourceSpecifier::Topic("t".to_owned());
        let mut settings = ConfigResource { specifier, entries: Vec::new() };
        assert!(!are_known(&settings));
        settings.entries = REQUIRED.into_iter().map(entry).collect();
        assert!(are_known(&settings));
        settings.entries[0].value = None;
        assert!(!are_known(&settings));
    }
}
