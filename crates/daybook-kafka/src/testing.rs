//! What only tests do with Kafka: faults of the embedded broker, another program's transaction, the last record.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use crate::embedded::{Cluster, EmbeddedBroker, EmbeddedError};
use crate::topics::{self, ANSWER_TIMEOUT, Held, OwnedRecord, TopicError, Watermarks};
use crate::{Kafka, LogError, Polled, Reader, Start};

const NOT_ALLOWED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
const NOT_TAKEN: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
const NOT_KNOWN_YET: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;

impl EmbeddedBroker {
    /// Makes a broker the leader of a partition, or none. The last crashes the process if a client that knows another
    /// leader still reads or writes the partition: librdkafka's mock does not expect that.
    pub fn set_leader(
        &self,
        full_name: &str,
        partition: i32,
        broker: Option<i32>,
    ) -> Result<(), EmbeddedError> {
        let topic = full_name.to_owned();
        self.change(move |cluster| cluster.partition_leader(&topic, partition, broker))
    }

    /// Takes a broker away: its connections are cut, and new ones refused. It stays the leader of its partitions.
    pub fn broker_down(&self, broker: i32) -> Result<(), EmbeddedError> {
        let (ports, bootstrap) = (self.kept_ports.clone(), self.bootstrap());
        self.change(move |cluster| {
            cluster.broker_down(broker)?;
            ports.keep(broker, &bootstrap);
            Ok(())
        })
    }

    pub fn broker_up(&self, broker: i32) -> Result<(), EmbeddedError> {
        let ports = self.kept_ports.clone();
        self.change(move |cluster| {
            ports.release(broker);
            cluster.broker_up(broker)
        })
    }

    pub fn round_trip(&self, broker: i32, time: Duration) -> Result<(), EmbeddedError> {
        self.change(move |cluster| cluster.broker_round_trip_time(broker, time))
    }

    /// Refuses so many requests of readers as it does one who may not read the topic.
    pub fn refuse_reads(&self, requests: usize) -> Result<(), EmbeddedError> {
        self.fail(RDKafkaApiKey::Fetch, NOT_ALLOWED, requests)
    }

    /// Refuses so many requests of writers for good, as it does a record that it does not take.
    pub fn refuse_writes(&self, requests: usize) -> Result<(), EmbeddedError> {
        self.fail(RDKafkaApiKey::Produce, NOT_TAKEN, requests)
    }

    /// Answers so many questions where a partition ends as a leader does that has just been elected: it does not know yet.
    pub fn hide_ends(&self, requests: usize) -> Result<(), EmbeddedError> {
        self.fail(RDKafkaApiKey::ListOffsets, NOT_KNOWN_YET, requests)
    }

    fn fail(&self, key: RDKafkaApiKey, error: RDKafkaRespErr, requests: usize) -> Result<(), EmbeddedError> {
        self.change(move |cluster| {
            cluster.request_errors(key, &vec![error; requests]);
            Ok(())
        })
    }

    fn change<F>(&self, what: F) -> Result<(), EmbeddedError>
    where
        F: FnOnce(&Cluster) -> Result<(), KafkaError> + Send + 'static,
    {
        self.ask("cannot be changed", what)
    }
}

/// Ports of brokers that are down. librdkafka ends the process if a broker finds its port taken when it is up again, so no
/// other process gets it meanwhile: a socket that does not listen keeps it, and refuses connections as no socket at all would.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptPorts(Arc<Mutex<BTreeMap<i32, OwnedFd>>>);

impl KeptPorts {
    fn keep(&self, broker: i32, bootstrap: &str) {
        let nth = usize::try_from(broker - 1).unwrap_or(usize::MAX);
        let address = bootstrap.split(',').nth(nth).and_then(|address| address.parse().ok());
        match address.map(without_listening) {
            Some(Ok(socket)) => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(broker, socket);
            }
            // As it would be without this.
            not_kept => tracing::debug!(broker, ?not_kept, "the port of an embedded broker is not kept"),
        }
    }

    fn release(&self, broker: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&broker);
    }
}

fn without_listening(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one poll waits; the deadline is looked at in between.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// Another program's transaction: what a test needs in order to write into a topic as a careless neighbour does. Daybook's
/// own records are never transactional. One is open at a time. Dropped, it leaves that as it is,
/// as a killed program does: the broker aborts it after a minute.
pub struct ForeignTransaction {
    producer: BaseProducer,
    kafka: Kafka,
}

impl ForeignTransaction {
    /// Begins one; the broker fences the process that had the same id before.
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

/// As [`topics::held_until`], with as much patience as production has.
pub fn held<T: AsRef<str>>(kafka: &Kafka, partitions: &[(T, i32)]) -> Result<Vec<Held>, TopicError> {
    topics::held_until(kafka, partitions, ANSWER_TIMEOUT, &|| false)
}

/// What one partition holds.
pub fn watermarks(kafka: &Kafka, topic: &str, partition: i32) -> Result<Watermarks, TopicError> {
    let mut held = held(kafka, &[(topic, partition)])?;
    held.pop().unwrap_or_else(|| Err(TopicError::Missing { topic: kafka.topic_name(topic) }))
}

/// The last record of a partition; none if it holds no record.
pub fn tail_record(kafka: &Kafka, topic: &str, partition: i32) -> Result<Option<OwnedRecord>, TopicError> {
    let Watermarks { low, high } = watermarks(kafka, topic, partition)?;
    // The last offsets may hold no record but a foreign transaction's marks: look further back, each time twice as far.
    let mut back = 1;
    loop {
        let from = low.max(high - back);
        if from >= high {
            return Ok(None);
        }
        let start = Start { topic: topic.to_owned(), partition, offset: from };
        let last = last_record_from(kafka, &start)?;
        if last.is_some() || from == low {
            return Ok(last);
        }
        back *= 2;
    }
}

fn last_record_from(kafka: &Kafka, start: &Start) -> Result<Option<OwnedRecord>, TopicError> {
    let reader = Reader::open(kafka, std::slice::from_ref(start))?;
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut last = None;
    while Instant::now() < deadline {
        match reader.poll(POLL_TIMEOUT)? {
            Polled::Record(record) => last = Some(OwnedRecord::from(&record)),
            Polled::End { .. } => return Ok(last),
            Polled::Nothing => {}
        }
    }
    let (topic, partition) = (kafka.topic_name(&start.topic), start.partition);
    // Its end was known a moment ago.
    Err(LogError::Silent { topic, partition, waited_ms: ANSWER_TIMEOUT.as_millis() }.into())
}
