//! Writing: idempotent, acknowledged by all in-sync replicas, to an explicit partition, in order.
//!
//! The guarantee: records of one partition get into the log in the order of `send`, each once, without a gap before the
//! first one that failed; and their deliveries are reported in that order, from one thread. After a failed delivery the
//! caller opens a new writer and sends again from the first record that was not acknowledged, which may write records
//! twice: readers recognise them by their position.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message as _};

use crate::client::{log_error, log_line};
use crate::{Kafka, LogError};

// A tag travels through librdkafka as a pointer.
const _: () = assert!(usize::BITS >= u64::BITS, "Daybook needs a 64-bit machine");

#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Names and values, in this order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Comes back with the delivery; what it means is the caller's business.
    pub tag: u64,
}

#[derive(Debug)]
pub struct Delivery<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// As given with the record.
    pub tag: u64,
    /// The record's offset, once all in-sync replicas have it.
    pub result: Result<i64, DeliveryError>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the writer was closed before Kafka acknowledged the record")]
    GivenUp,
    #[error("Kafka did not take the record: {reason}")]
    Failed { reason: String },
}

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

/// An open producer. Dropping it gives up what is not yet acknowledged: those deliveries report
/// [`DeliveryError::GivenUp`]. [`Writer::flush`] first if they matter.
pub struct Writer {
    producer: ThreadedProducer<WriterContext>,
    kafka: Kafka,
}

impl Writer {
    /// Opens a producer; does not wait for a broker. `on_delivery` is called once per accepted record, from one thread
    /// at a time, in the order of `send` within a partition; it must not block for long and must not call this writer's
    /// `flush`.
    pub fn open(
        kafka: &Kafka,
        on_delivery: impl Fn(Delivery<'_>) + Send + Sync + 'static,
    ) -> Result<Writer, LogError> {
        Writer::open_watching(kafka, on_delivery, |_| {})
    }

    /// The same; `on_brokers_lost` is called, from the same thread, whenever the last connection is gone and no broker can
    /// be reached for the moment. The writer itself keeps trying.
    pub fn open_watching(
        kafka: &Kafka,
        on_delivery: impl Fn(Delivery<'_>) + Send + Sync + 'static,
        on_brokers_lost: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Writer, LogError> {
        let context = WriterContext {
            prefix_len: kafka.topic_prefix.len(),
            on_delivery: Box::new(on_delivery),
            on_brokers_lost: Box::new(on_brokers_lost),
            outstanding: Outstanding::default(),
        };
        let producer = kafka
            .writer_config()
            .create_with_context(context)
            .map_err(|error| LogError::Settings { reason: error.to_string() })?;
        Ok(Writer { producer, kafka: kafka.clone() })
    }

    /// Hands a record to the producer, which copies it; never blocks.
    /// Errors: [`SendError`]; nothing was accepted then, and no delivery will come.
    pub fn send(&self, record: Outgoing<'_>) -> Result<(), SendError> {
        let topic = self.kafka.topic_name(record.topic);
        #[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits, asserted above")]
        let tag = record.tag as usize;
        let mut out = BaseRecord::with_opaque_to(&topic, tag)
            .partition(record.partition)
            .key(record.key)
            .payload(record.value);
        if !record.headers.is_empty() {
            out = out.headers(owned_headers(record.headers));
        }
        // Counted before: the delivery may come before `send` returns.
        let outstanding = &self.producer.client().context().outstanding;
        outstanding.add();
        self.producer.send(out).map_err(|(error, _)| {
            outstanding.remove();
            self.send_error(&error, &record, &topic)
        })
    }

    /// Waits until every accepted record has been reported.
    /// Errors: [`LogError::FlushTimeout`] if some are left after `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.producer
            .client()
            .context()
            .outstanding
            .wait_for_none(timeout)
            .map_err(|outstanding| LogError::FlushTimeout { outstanding, waited_ms: timeout.as_millis() })
    }

    /// The error after which this writer accepts nothing any more; open a new one then.
    pub fn fatal_error(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_, reason)| reason)
    }

    fn send_error(&self, error: &KafkaError, record: &Outgoing<'_>, topic: &str) -> SendError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => SendError::QueueFull,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                SendError::TooLarge { bytes: record.key.len() + record.value.len() }
            }
            Some(RDKafkaErrorCode::Fatal) => {
                SendError::Fatal { reason: self.fatal_error().unwrap_or_else(|| error.to_string()) }
            }
            _ => SendError::Refused {
                topic: topic.to_owned(),
                partition: record.partition,
                reason: error.to_string(),
            },
        }
    }
}

fn owned_headers(headers: &[(&str, &[u8])]) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(owned, |owned, &(key, value)| owned.insert(Header { key, value: Some(value) }))
}

struct WriterContext {
    prefix_len: usize,
    on_delivery: Box<dyn Fn(Delivery<'_>) + Send + Sync>,
    on_brokers_lost: Box<dyn Fn(&str) + Send + Sync>,
    outstanding: Outstanding,
}

impl ClientContext for WriterContext {
    // As for readers.
    fn stats_raw(&self, _: &[u8]) {}

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

/// Records accepted and not yet reported. librdkafka's own flush is not used: it runs deliveries on the calling thread
/// beside the polling thread, which would mix up their order.
#[derive(Default)]
struct Outstanding {
    count: Mutex<usize>,
    none: Condvar,
}

impl Outstanding {
    fn add(&self) {
        *self.lock() += 1;
    }

    fn remove(&self) {
        let mut count = self.lock();
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }

    /// The number left if that is not none after `timeout`.
    fn wait_for_none(&self, timeout: Duration) -> Result<(), usize> {
        let waited = self.none.wait_timeout_while(self.lock(), timeout, |count| *count > 0);
        match *waited.unwrap_or_else(PoisonError::into_inner).0 {
            0 => Ok(()),
            left => Err(left),
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
