//! The whole system as real processes. Each scenario runs on the embedded broker, and on a real Kafka where
//! `DAYBOOK_TEST_BROKERS` names one (`cargo test -p system-tests -- --ignored`).
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod bad_input;
mod changed_topics;
mod console_consumer;
mod disk;
mod foreign_records;
mod frozen_broker;
mod independence;
mod interrupted;
mod looked_after;
mod lost_end;
mod one_broker_away;
mod online_replay;
mod open_transaction;
mod outbox_full;
mod quarantine;
mod quickstart;
mod rim;
mod said;
mod story;
mod upgrade;
mod writers;

/// Makes two tests of an async scenario that takes a [`system_tests::broker::TestBroker`].
macro_rules! on_both_brokers {
    ($name:ident, $scenario:path) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_the_embedded_broker() {
                $scenario(system_tests::broker::TestBroker::embedded()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs DAYBOOK_TEST_BROKERS"]
            async fn on_a_real_kafka() {
                $scenario(system_tests::broker::TestBroker::real()).await;
            }
        }
    };
}
pub(crate) use on_both_brokers;
