//! librdkafka's mock cluster: a broker inside the process, for the sandbox and for tests without Kafka.
//!
//! It keeps everything in memory, at most 5 MiB or 100,000 record sets a partition (then the oldest are dropped), and it
//! answers no admin requests. Other processes can use it by its bootstrap address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use crate::Kafka;

const NOT_ALLOWED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
const NOT_TAKEN: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
const NOT_KNOWN_YET: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;

#[derive(Debug, thiserror::Error)]
#[error("the embedded broker {0}")]
pub struct EmbeddedError(String);

/// A running mock cluster, mostly of one broker; dropping it stops it and forgets its records.
pub struct EmbeddedBroker {
    bootstrap: String,
    // Both taken when dropped: closing the channel ends the thread.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

type Cluster = MockCluster<'static, DefaultProducerContext>;
type Request = Box<dyn FnOnce(&Cluster, &mut KeptPorts) + Send>;

impl EmbeddedBroker {
    pub fn start() -> Result<EmbeddedBroker, EmbeddedError> {
        EmbeddedBroker::start_with(1)
    }

    /// The same with so many brokers, numbered from 1; each has a port of its own.
    pub fn start_with(brokers: i32) -> Result<EmbeddedBroker, EmbeddedError> {
        let start_error = |reason: String| EmbeddedError(format!("does not start: {reason}"));
        let (started_sender, started) = mpsc::channel();
        let (requests, receiver) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || run(brokers, &started_sender, &receiver))
            .map_err(|error| start_error(error.to_string()))?;
        let bootstrap =
            started.recv().map_err(|_| start_error("its thread ended".to_owned()))?.map_err(start_error)?;
        Ok(EmbeddedBroker { bootstrap, requests: Some(requests), thread: Some(thread) })
    }

    /// Creates a topic; `full_name` includes the prefix. One that is there already is left as it is.
    pub fn create_topic(&self, full_name: &str, partitions: i32) -> Result<(), EmbeddedError> {
        let topic = full_name.to_owned();
        let create = move |cluster: &Cluster, _: &mut _| match cluster.create_topic(&topic, partitions, 1) {
            Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            created => created,
        };
        self.ask(&format!("cannot create topic {full_name} with {partitions} partitions"), create)
    }

    /// Makes a broker the leader of a partition, or nobody. The last crashes the process if a client that knows another
    /// leader still reads or writes the partition: librdkafka's mock does not expect that.
    pub fn set_leader(
        &self,
        full_name: &str,
        partition: i32,
        broker: Option<i32>,
    ) -> Result<(), EmbeddedError> {
        let topic = full_name.to_owned();
        self.change(move |cluster, _| cluster.partition_leader(&topic, partition, broker))
    }

    /// Takes a broker away: its connections are cut, and new ones refused. It stays the leader of its partitions.
    pub fn broker_down(&self, broker: i32) -> Result<(), EmbeddedError> {
        self.change(move |cluster, ports| {
            cluster.broker_down(broker)?;
            ports.keep(broker);
            Ok(())
        })
    }

    pub fn broker_up(&self, broker: i32) -> Result<(), EmbeddedError> {
        self.change(move |cluster, ports| {
            ports.kept.remove(&broker);
            cluster.broker_up(broker)
        })
    }

    pub fn round_trip(&self, broker: i32, time: Duration) -> Result<(), EmbeddedError> {
        self.change(move |cluster, _| cluster.broker_round_trip_time(broker, time))
    }

    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    pub fn kafka(&self, topic_prefix: &str) -> Kafka {
        Kafka {
            brokers: self.bootstrap(),
            options: Vec::new(),
            topic_prefix: topic_prefix.to_owned(),
            embedded: true,
        }
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
        self.change(move |cluster, _| {
            cluster.request_errors(key, &vec![error; requests]);
            Ok(())
        })
    }

    fn change<F>(&self, what: F) -> Result<(), EmbeddedError>
    where
        F: FnOnce(&Cluster, &mut KeptPorts) -> Result<(), KafkaError> + Send + 'static,
    {
        self.ask("cannot be changed", what)
    }

    fn ask<F>(&self, cannot: &str, what: F) -> Result<(), EmbeddedError>
    where
        F: FnOnce(&Cluster, &mut KeptPorts) -> Result<(), KafkaError> + Send + 'static,
    {
        let (done, answer) = mpsc::channel();
        let request: Request = Box::new(move |cluster, ports| report(&done, what(cluster, ports)));
        let sent = self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok());
        let answered = if sent { answer.recv().ok() } else { None };
        match answered {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(EmbeddedError(format!("{cannot}: {error}"))),
            None => Err(EmbeddedError(format!("{cannot}: the embedded broker has ended"))),
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the embedded broker's thread panicked");
        }
    }
}

// rdkafka's handle of the cluster cannot move between threads, so it lives in one.
fn run(brokers: i32, started: &mpsc::Sender<Result<String, String>>, requests: &mpsc::Receiver<Request>) {
    let cluster = match MockCluster::new(brokers) {
        Ok(cluster) => cluster,
        Err(error) => {
            report(started, Err(error.to_string()));
            return;
        }
    };
    let bootstrap = cluster.bootstrap_servers();
    let mut kept = KeptPorts { bootstrap: bootstrap.clone(), kept: BTreeMap::new() };
    report(started, Ok(bootstrap));
    for request in requests {
        request(&cluster, &mut kept);
    }
}

/// Ports of brokers that are down. librdkafka ends the process if a broker finds its port taken when it is up again, so nobody
/// else gets it meanwhile: a socket that does not listen keeps it, and refuses connections as no socket at all would.
struct KeptPorts {
    bootstrap: String,
    kept: BTreeMap<i32, OwnedFd>,
}

impl KeptPorts {
    fn keep(&mut self, broker: i32) {
        let nth = usize::try_from(broker - 1).unwrap_or(usize::MAX);
        let address = self.bootstrap.split(',').nth(nth).and_then(|address| address.parse().ok());
        match address.map(without_listening) {
            Some(Ok(socket)) => {
                self.kept.insert(broker, socket);
            }
            // As it would be without this.
            not_kept => tracing::debug!(broker, ?not_kept, "the port of an embedded broker is not kept"),
        }
    }
}

fn without_listening(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}

fn report<T>(to: &mpsc::Sender<T>, value: T) {
    // Nobody listens any more only while the broker is being dropped.
    if to.send(value).is_err() {
        tracing::debug!("the embedded broker's answer was not awaited");
    }
}
