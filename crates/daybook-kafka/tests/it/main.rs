//! The crate against brokers: the embedded one always, Apache Kafka where `DAYBOOK_TEST_BROKERS` names one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what the tests share is test code, too")]

mod embedded_batches;
mod embedded_reading;
mod embedded_topics;
mod embedded_writing;
mod kafka_reading;
mod kafka_topics;
mod partitioner;
mod support;
mod unreachable;
