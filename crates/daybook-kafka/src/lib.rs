//! Kafka as Daybook uses it: read from given offsets, write in order, inspect topics.
//!
//! The only crate that imports rdkafka. It knows records, partitions and offsets; it does not know what is in a
//! record, so neither events nor positions appear here.
//!
//! Everything blocks, and nothing here needs an async runtime: librdkafka has threads of its own, and asynchronous callers go
//! through `spawn_blocking`. Wherever a `topic` is named, it is the bare name (`users.events`); the prefix of
//! [`Kafka::topic_prefix`] is added inside.

mod client;
mod error;
mod flags;
mod kafka;
mod partitioner;
mod reader;
mod writer;

pub mod embedded;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topics;

pub use error::LogError;
pub use flags::{TopicFlags, kafka_option, topic_prefix};
pub use kafka::{FetchAhead, Kafka, WRITER_QUEUE_BYTES_MAX};
pub use partitioner::partition_for_key;
pub use reader::{BatchItem, BatchRecord, Polled, Reader, Record, Span, Start, read_spans, read_spans_until};
pub use writer::{Delivery, DeliveryError, Outgoing, SendError, Writer};
