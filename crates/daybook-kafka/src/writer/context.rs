//! librdkafka's callbacks to a writer.

use rdkafka::ClientContext;
use rdkafka::Message as _;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::outstanding::Outstanding;
use super::{Delivery, DeliveryError};
use crate::client::{log_error, log_line};

pub(super) struct WriterContext {
    pub(super) prefix_len: usize,
    pub(super) on_delivery: Box<dyn Fn(Delivery<'_>) + Send + Sync>,
    pub(super) on_brokers_lost: Box<dyn Fn(&str) + Send + Sync>,
    pub(super) outstanding: Outstanding,
}

impl ClientContext for WriterContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            (self.on_brokers_lost)(reason);
        }
    }
}

impl ProducerContext for WriterContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let (message, result) = match result {
            Ok(message) => (message, Ok(message.offset())),
            Err((error, message)) => (message, Err(delivery_error(error))),
        };
        let topic = message.topic().get(self.prefix_len..).unwrap_or_default();
        (self.on_delivery)(Delivery { topic, partition: message.partition(), tag: tag as u64, result });
        self.outstanding.remove();
    }
}

fn delivery_error(error: &KafkaError) -> DeliveryError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => DeliveryError::GivenUp,
        _ => DeliveryError::Failed { reason: error.to_string() },
    }
}
