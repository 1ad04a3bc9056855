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
    /// The writer was dropped before Kafka acknowledged; the record may or may not be in the log.
    #[error("the writer was closed before Kafka acknowledged the record")]
    GivenUp,
    /// Kafka or the client refused it, or the writer failed for good.
    #[error("Kafka did not take the record: {reason}")]
    Failed {
        /// librdkafka's words.
        reason: String,
    },
}

/// Why a record was not accepted for sending.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// Too much is waiting to be acknowledged; the same record can be sent again once some deliveries have come.
    #[error("the writer's queue is full")]
    QueueFull,
    /// Larger than a record may be.
    #[error("a record of {bytes} bytes is too large for Kafka (setting message.max.bytes)")]
    TooLarge {
        /// Key and value together.
        bytes: usize,
    },
    /// The writer has failed for good; open a new one.
    #[error("the Kafka producer failed for good: {reason}")]
    Fatal {
        /// librdkafka's words.
        reason: String,
    },
    /// Topic or partition unknown, or anything else.
    #[error("the record for topic {topic} partition {partition} is refused: {reason}")]
    Refused {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// librdkafka's words.
        reason: String,
    },
}
