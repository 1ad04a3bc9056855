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

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use crate::Kafka;

const NOT_ALLOWED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
const NOT_TAKEN: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
const NOT_KNOWN_YET: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;

/// Why the embedded broker cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error("the embedded broker does not start: {reason}")]
    Start { reason: String },
    #[error("the embedded broker cannot create topic {topic} with {partitions} partitions: {reason}")]
    CreateTopic { topic: String, partitions: i32, reason: String },
    #[error("the embedded broker cannot be changed: {reason}")]
    Change { reason: String },
}

/// A running mock cluster, mostly of one broker; dropping it stops it and forgets its records.
pub struct EmbeddedBroker {
    bootstrap: String,
    // Both taken when dropped: closing the channel ends the thread.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    what: Asked,
    done: mpsc::Sender<Result<(), String>>,
}

enum Asked {
    CreateTopic { topic: String, partitions: i32 },
    SetLeader { topic: String, partition: i32, broker: Option<i32> },
    BrokerDown(i32),
    BrokerUp(i32),
    RoundTrip { broker: i32, time: Duration },
    RefuseReads(usize),
    RefuseWrites(usize),
    HideEnds(usize),
}

impl EmbeddedBroker {
    /// Starts it on a free port of the loopback interface.
    pub fn start() -> Result<EmbeddedBroker, EmbeddedError> {
        EmbeddedBroker::start_with(1)
    }

    /// The same with so many brokers, numbered from 1; each has a port of its own.
    pub fn start_with(brokers: i32) -> Result<EmbeddedBroker, EmbeddedError> {
        let start_error = |reason: String| EmbeddedError::Start { reason };
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
        self.ask(Asked::CreateTopic { topic: topic.clone(), partitions })
            .map_err(|reason| EmbeddedError::CreateTopic { topic, partitions, reason })
    }

    /// Makes a broker the leader of a partition, or nobody. The last crashes the process if a client that knows another
    /// leader still reads or writes the partition: librdkafka's mock does not expect that.
    pub fn set_leader(
        &self,
        full_name: &str,
        partition: i32,
        broker: Option<i32>,
    ) -> Result<(), EmbeddedError> {
        self.change(Asked::SetLeader { topic: full_name.to_owned(), partition, broker })
    }

    /// Takes a broker away: its connections are cut, and new ones refused. It stays the leader of its partitions.
    pub fn broker_down(&self, broker: i32) -> Result<(), EmbeddedError> {
        self.change(Asked::BrokerDown(broker))
    }

    /// Brings a broker back, with all that it had.
    pub fn broker_up(&self, broker: i32) -> Result<(), EmbeddedError> {
        self.change(Asked::BrokerUp(broker))
    }

    /// Lets a broker take so long for every answer.
    pub fn round_trip(&self, broker: i32, time: Duration) -> Result<(), EmbeddedError> {
        self.change(Asked::RoundTrip { broker, time })
    }

    /// The address for this and other processes.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// Settings that reach it.
    #[must_use]
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
        self.change(Asked::RefuseReads(requests))
    }

    /// Refuses so many requests of writers for good, as it does a record that it does not take.
    pub fn refuse_writes(&self, requests: usize) -> Result<(), EmbeddedError> {
        self.change(Asked::RefuseWrites(requests))
    }

    /// Answers so many questions where a partition ends as a leader does that has just been elected: it does not know yet.
    pub fn hide_ends(&self, requests: usize) -> Result<(), EmbeddedError> {
        self.change(Asked::HideEnds(requests))
    }

    fn change(&self, what: Asked) -> Result<(), EmbeddedError> {
        self.ask(what).map_err(|reason| EmbeddedError::Change { reason })
    }

    fn ask(&self, what: Asked) -> Result<(), String> {
        let ended = || "the embedded broker has ended".to_owned();
        let (done, answer) = mpsc::channel();
        self.requests.as_ref().ok_or_else(ended)?.send(Request { what, done }).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
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
        let answered = answer(&cluster, &mut kept, request.what);
        report(&request.done, answered.map_err(|error| error.to_string()));
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

fn answer<C: ClientContext>(
    cluster: &MockCluster<'_, C>,
    ports: &mut KeptPorts,
    asked: Asked,
) -> Result<(), KafkaError> {
    match asked {
        Asked::CreateTopic { topic, partitions } => match cluster.create_topic(&topic, partitions, 1) {
            Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            created => created,
        },
        Asked::SetLeader { topic, partition, broker } => cluster.partition_leader(&topic, partition, broker),
        Asked::BrokerDown(broker) => {
            cluster.broker_down(broker)?;
            ports.keep(broker);
            Ok(())
        }
        Asked::BrokerUp(broker) => {
            ports.kept.remove(&broker);
            cluster.broker_up(broker)
        }
        Asked::RefuseReads(requests) => {
            cluster.request_errors(RDKafkaApiKey::Fetch, &vec![NOT_ALLOWED; requests]);
            Ok(())
        }
        Asked::RefuseWrites(requests) => {
            cluster.request_errors(RDKafkaApiKey::Produce, &vec![NOT_TAKEN; requests]);
            Ok(())
        }
        Asked::HideEnds(requests) => {
            cluster.request_errors(RDKafkaApiKey::ListOffsets, &vec![NOT_KNOWN_YET; requests]);
            Ok(())
        }
        Asked::RoundTrip { broker, time } => cluster.broker_round_trip_time(broker, time),
    }
}

fn report<T>(to: &mpsc::Sender<T>, value: T) {
    // Nobody listens any more only while the broker is being dropped.
    if to.send(value).is_err() {
        tracing::debug!("the embedded broker's answer was not awaited");
    }
}
