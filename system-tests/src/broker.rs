//! A log for one test: a real Kafka if one is named, else an embedded broker; with topics of the test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use daybook_kafka::Kafka;
use daybook_kafka::embedded::EmbeddedBroker;

/// Names the brokers of a real Kafka.
pub const BROKERS_VARIABLE: &str = "DAYBOOK_TEST_BROKERS";
/// Partitions of each topic in these tests.
pub const PARTITIONS: i32 = 3;

/// A log that no other test writes to.
pub struct TestBroker {
    kafka: Kafka,
    _embedded: Option<EmbeddedBroker>,
}

impl TestBroker {
    /// The embedded broker, with the shop's topics made.
    pub fn embedded() -> Self {
        let broker = EmbeddedBroker::start().expect("the embedded broker starts");
        for topic in schemas::TOPICS {
            broker.create_topic(topic, PARTITIONS).expect("a topic");
        }
        Self { kafka: broker.kafka(""), _embedded: Some(broker) }
    }

    /// The real Kafka that is named in the environment; the services make the topics themselves.
    pub fn real() -> Self {
        let brokers = std::env::var(BROKERS_VARIABLE);
        Self::at(brokers.unwrap_or_else(|_| panic!("{BROKERS_VARIABLE} names no Kafka")))
    }

    /// A real Kafka at this address.
    pub fn at(brokers: String) -> Self {
        static TESTS: AtomicU32 = AtomicU32::new(0);
        let number = TESTS.fetch_add(1, Ordering::Relaxed);
        let millis =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |at| at.as_millis());
        let topic_prefix = format!("t{millis}-{}-{number}-", std::process::id());
        Self { kafka: Kafka { brokers, options: Vec::new(), topic_prefix, embedded: false }, _embedded: None }
    }

    /// How to reach it from this process.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// How a service is told to reach it.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--brokers".to_owned(), self.kafka.brokers.clone()];
        flags.extend(["--partitions".to_owned(), PARTITIONS.to_string()]);
        if self.kafka.embedded {
            flags.push("--embedded-broker".to_owned());
        } else {
            flags.extend(["--topic-prefix".to_owned(), self.kafka.topic_prefix.clone()]);
            flags.extend(["--replication-factor".to_owned(), "1".to_owned()]);
        }
        flags
    }
}
