//! Topics on Apache Kafka: created, checked, refused.

use daybook_kafka::Kafka;
use daybook_kafka::topics::{self, TopicError, TopicSpec};
use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::support::{real_kafka, write};

const SPEC: TopicSpec = TopicSpec { partitions: 3, replication_factor: 1 };

pub(crate) fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &kafka.brokers).create().unwrap()
}

fn create(kafka: &Kafka, topic: &str, settings: &[(&str, &str)]) {
    let full_name = kafka.topic_name(topic);
    let mut new_topic = NewTopic::new(&full_name, SPEC.partitions, TopicReplication::Fixed(1));
    for (setting, value) in settings {
        new_topic = new_topic.set(setting, value);
    }
    for result in block_on(admin(kafka).create_topics([&new_topic], &AdminOptions::new())).unwrap() {
        result.unwrap();
    }
}

fn setting(kafka: &Kafka, topic: &str, name: &str) -> Option<String> {
    let full_name = kafka.topic_name(topic);
    let asked = [ResourceSpecifier::Topic(&full_name)];
    let answered = block_on(admin(kafka).describe_configs(&asked, &AdminOptions::new())).unwrap();
    answered.into_iter().next().unwrap().unwrap().get(name).unwrap().value.clone()
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_missing_topic_is_created_so_that_it_keeps_everything() {
    let kafka = real_kafka();
    assert_eq!(topics::partition_count(&kafka, "users").unwrap(), None);
    topics::ensure(&kafka, "users", &SPEC).unwrap();
    assert_eq!(topics::partition_count(&kafka, "users").unwrap(), Some(3));
    for (name, value) in [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")] {
        assert_eq!(setting(&kafka, "users", name).as_deref(), Some(value), "{name}");
    }
    topics::ensure(&kafka, "users", &SPEC).unwrap();
    write(&kafka, "users", 2, &["it can be written at once"]);
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn several_services_may_create_one_topic_at_once() {
    let kafka = real_kafka();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| topics::ensure(&kafka, "users", &SPEC).unwrap());
        }
    });
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_topic_that_would_drop_events_is_refused_and_left_as_it_is() {
    let kafka = real_kafka();
    let finite = [
        ("by-time", "retention.ms", "604800000"),
        ("by-size", "retention.bytes", "1000000"),
        ("compacted", "cleanup.policy", "compact"),
    ];
    for (topic, wrong_setting, wrong_value) in finite {
        let mut settings =
            vec![("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
        settings.retain(|(name, _)| *name != wrong_setting);
        settings.push((wrong_setting, wrong_value));
        create(&kafka, topic, &settings);
        let error = topics::ensure(&kafka, topic, &SPEC).unwrap_err();
        let TopicError::WouldDropEvents { setting: named, value, .. } = &error else { panic!("{error}") };
        assert_eq!((*named, value.as_str()), (wrong_setting, wrong_value));
        for part in [kafka.topic_name(topic).as_str(), wrong_setting, wrong_value, "kafka-configs"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(
            setting(&kafka, topic, wrong_setting).as_deref(),
            Some(wrong_value),
            "changed by the check"
        );
        let all: Vec<_> = (0..SPEC.partitions).map(|partition| (topic, partition)).collect();
        assert!(topics::all_watermarks(&kafka, &all).unwrap().iter().all(|marks| marks.high == 0));
    }
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn another_partition_count_is_refused_with_both_numbers() {
    let kafka = real_kafka();
    topics::ensure(&kafka, "users", &SPEC).unwrap();
    let other = TopicSpec { partitions: 4, ..SPEC };
    let error = topics::ensure(&kafka, "users", &other).unwrap_err();
    assert!(matches!(error, TopicError::PartitionCount { expected: 4, actual: 3, .. }), "{error}");
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn more_copies_than_brokers_is_said_in_kafkas_words() {
    let kafka = real_kafka();
    let error = topics::ensure(&kafka, "users", &TopicSpec { replication_factor: 99, ..SPEC }).unwrap_err();
    assert!(matches!(error, TopicError::Create { replication_factor: 99, .. }), "{error}");
    assert!(error.to_string().contains("--replication-factor"), "{error}");
    assert_eq!(topics::partition_count(&kafka, "users").unwrap(), None);
}
