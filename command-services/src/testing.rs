//! What the tests share: given/when/then for rules, a service on the embedded broker, and requests without a port.

mod decide;
mod requests;
mod service;
mod shop;

pub(crate) use decide::given;
pub(crate) use requests::{Call, Reply, figure};
pub(crate) use service::{
    Log, PARTITIONS, TestService, broker, brokers, copy_dir, eventually, execute, fail_and_come_back_as,
    journaled, kafka_is_away, keeps_moving, settings, synced_copy, write_raw,
};
pub(crate) use shop::{Shop, order, token};
