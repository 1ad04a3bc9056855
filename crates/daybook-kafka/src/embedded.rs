//! librdkafka's mock cluster: a broker inside the process, for the sandbox and for tests without Kafka.
//!
//! It keeps everything in memory, at most 5 MiB or 100,000 record sets a partition (then the oldest are dropped), and it
//! answers no admin requests. Other processes can use it by its bootstrap address.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::Kafka;

#[derive(Debug, thiserror::Error)]
#[error("the embedded broker {0}")]
pub struct EmbeddedError(String);

/// A running mock cluster, mostly of one broker; dropping it stops it and forgets its records.
pub struct EmbeddedBroker {
    bootstrap: String,
    // Both taken when dropped: closing the channel ends the thread.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    #[cfg(feature = "testing")]
    pub(crate) kept_ports: crate::testing::KeptPorts,
}

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;
type Request = Box<dyn FnOnce(&Cluster) + Send>;

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
        Ok(EmbeddedBroker {
            bootstrap,
            requests: Some(requests),
            thread: Some(thread),
            #[cfg(feature = "testing")]
            kept_ports: Default::default(),
        })
    }

    /// Creates a topic; `full_name` includes the prefix. One that is there already is left as it is.
    pub fn create_topic(&self, full_name: &str, partitions: i32) -> Result<(), EmbeddedError> {
        let topic = full_name.to_owned();
        let create = move |cluster: &Cluster| match cluster.create_topic(&topic, partitions, 1) {
            Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            created => created,
        };
        self.ask(&format!("cannot create topic {full_name} with {partitions} partitions"), create)
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

    pub(crate) fn ask<F>(&self, cannot: &str, what: F) -> Result<(), EmbeddedError>
    where
        F: FnOnce(&Cluster) -> Result<(), KafkaError> + Send + 'static,
    {
        let (done, answer) = mpsc::channel();
        let request: Request = Box::new(move |cluster| report(&done, what(cluster)));
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
    report(started, Ok(cluster.bootstrap_servers()));
    for request in requests {
        request(&cluster);
    }
}

fn report<T>(to: &mpsc::Sender<T>, value: T) {
    // Nobody listens any more only while the broker is being dropped.
    if to.send(value).is_err() {
        tracing::debug!("nobody waits for the embedded broker's answer any more");
    }
}
