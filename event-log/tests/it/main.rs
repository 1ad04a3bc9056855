//! The crate against brokers: the embedded one always, Apache Kafka where `DAYBOOK_TEST_BROKERS` names one.

mod embedded_reading;
mod embedded_topics;
mod embedded_writing;
mod kafka_reading;
mod kafka_topics;
mod partitioner;
mod support;
mod unreachable;
