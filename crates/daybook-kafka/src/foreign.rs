//! Another program's transaction: what a test needs in order to write into a topic as a careless neighbour does. Daybook's
//! own records are never transactional.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::{Kafka, LogError};

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// A producer with one transaction open at a time. Dropped, it leaves the open one as it is, as a killed program does: the
/// broker aborts it after a minute.
pub struct ForeignTransaction {
    producer: BaseProducer,
    kafka: Kafka,
}

impl ForeignTransaction {
    /// Begins one; whoever had the same id before is shut out by the broker.
    pub fn begin(kafka: &Kafka, id: &str) -> Result<ForeignTransaction, LogError> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &kafka.brokers)
            .set("transactional.id", id)
            .create()
            .map_err(failed)?;
        producer.init_transactions(STEP_TIMEOUT).map_err(failed)?;
        producer.begin_transaction().map_err(failed)?;
        Ok(ForeignTransaction { producer, kafka: kafka.clone() })
    }

    pub fn write(&self, topic: &str, partition: i32, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        let full_name = self.kafka.topic_name(topic);
        let record = BaseRecord::to(&full_name).partition(partition).key(key).payload(value);
        self.producer.send(record).map_err(|(error, _)| failed(error))?;
        self.producer.flush(STEP_TIMEOUT).map_err(failed)
    }

    pub fn commit(&self) -> Result<(), LogError> {
        self.producer.commit_transaction(STEP_TIMEOUT).map_err(failed)?;
        self.producer.begin_transaction().map_err(failed)
    }

    /// Aborts, and begins another one. The records stay in the log.
    pub fn abort(&self) -> Result<(), LogError> {
        self.producer.abort_transaction(STEP_TIMEOUT).map_err(failed)?;
        self.producer.begin_transaction().map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: KafkaError) -> LogError {
    LogError::Client { doing: "writing in a transaction", reason: error.to_string() }
}
