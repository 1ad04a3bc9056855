//! The outbox: events that the journal has and Kafka has not; how far each partition is, and the relay that sends them.

pub(crate) mod positions;
pub(crate) mod relay;
