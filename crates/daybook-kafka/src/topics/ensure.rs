//! A topic as Daybook needs it, or a refusal.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::ConfigResource;

use super::create::{Admin, REQUIRED};
use super::inspector::{ANSWER_TIMEOUT, Inspector};
use super::{TopicError, TopicSpec};
use crate::Kafka;

/// How often a topic just created is looked for.
const CREATED_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Creates the topic if it is missing (it keeps everything for ever) and checks that it has the expected partitions and
/// no setting by which Kafka would drop events. Writes nothing to a topic that exists. On the embedded broker, which
/// answers no admin requests, only the partitions are checked.
/// Errors: [`TopicError::PartitionCount`], [`TopicError::WouldDropEvents`], [`TopicError::Create`], [`TopicError::Missing`]
/// (only on the embedded broker), [`TopicError::Inspect`], [`TopicError::Log`] if no broker answers.
pub fn ensure(kafka: &Kafka, topic: &str, spec: &TopicSpec) -> Result<(), TopicError> {
    let inspector = Inspector::open(kafka)?;
    let existing = inspector.partition_count(topic)?;
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
        if let Some(actual) = inspector.partition_count(topic)?
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
                reason: "its partitions still have no leader that answers for them".to_owned(),
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
