//! What tests of a domain's services share: given/when/then for rules, a service on the embedded broker, and requests without a
//! port.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

mod decide;
mod inspect;
mod known;
mod requests;
mod service;
mod stored;

pub use decide::given;
pub use known::Known;
pub use requests::{Call, Reply, figure};
pub use service::{
    DEADLINE, Log, PARTITIONS, TestService, brokers_with, eventually, execute, fail_and_come_back_as,
    journaled, kafka_is_away, keeps_moving, settings, synced_copy, write_keyed, write_raw,
};
pub use stored::{VALUE_BYTES_MAX, add_behind, copy_dir, flip, waiting_row_bytes, without_outbox_row};
#[cfg(test)]
pub(crate) use stored::{read_behind, settle};

/// A broker with the toys' topic.
#[cfg(test)]
pub(crate) fn broker() -> daybook_kafka::embedded::EmbeddedBroker {
    brokers(1)
}

/// So many brokers.
#[cfg(test)]
pub(crate) fn brokers(count: i32) -> daybook_kafka::embedded::EmbeddedBroker {
    brokers_with(count, ["toys.events"])
}
