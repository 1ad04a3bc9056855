//! What goes into a writer and what it reports.

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Bare name.
    pub topic: &'a str,
    /// Kafka's partition number.
    pub partition: i32,
    /// The record's key.
    pub key: &'a [u8],
    /// The record's value.
    pub value: &'a [u8],
    /// Names and values, in this order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Comes back with the delivery; what it means is the caller's business.
    pub tag: u64,
}

/// What became of a record that was sent.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Bare name.
    pub topic: &'a str,
    /// Kafka's partition number.
    pub partition: i32,
    /// As given with the record.
    pub tag: u64,
    /// The record's offset, once all in-sync replicas have it.
    pub result: Result<i64, DeliveryError>,
}

/// Why a record that was accepted did not get into the log, as far as is known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the writer was closed before Kafka acknowledged the record")]
    GivenUp,
    #[error("Kafka did not take the record: {reason}")]
    Failed { reason: String },
}

/// Why a record was not accepted for sending.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    #[error("the writer's queue is full")]
    QueueFull,
    #[error("a record of {bytes} bytes is too large for Kafka (setting message.max.bytes)")]
    TooLarge { bytes: usize },
    #[error("the Kafka producer failed for good: {reason}")]
    Fatal { reason: String },
    #[error("the record for topic {topic} partition {partition} is refused: {reason}")]
    Refused { topic: String, partition: i32, reason: String },
}
