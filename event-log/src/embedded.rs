//! librdkafka's mock cluster: a broker inside the process, for the sandbox and for tests without Kafka.
//!
//! It keeps everything in memory, at most 5 MiB or 100,000 record sets a partition (then the oldest are dropped), and it
//! answers no admin requests. Other processes can use it by its bootstrap address.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;

use crate::Kafka;

/// Why the embedded broker cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// It did not start.
    #[error("the embedded broker does not start: {reason}")]
    Start {
        /// librdkafka's words, or the system's.
        reason: String,
    },
    /// The topic was not created.
    #[error("the embedded broker cannot create topic {topic} with {partitions} partitions: {reason}")]
    CreateTopic {
        /// Full name.
        topic: String,
        /// As given.
        partitions: i32,
        /// librdkafka's words.
        reason: String,
    },
}

/// A running mock cluster of one broker; dropping it stops it and forgets its records.
pub struct EmbeddedBroker {
    bootstrap: String,
    // Both taken when dropped: closing the channel ends the thread.
    requests: Option<mpsc::Sender<CreateTopic>>,
    thread: Option<JoinHandle<()>>,
}

struct CreateTopic {
    topic: String,
    partitions: i32,
    done: mpsc::Sender<Result<(), String>>,
}

impl EmbeddedBroker {
    /// Starts it on a free port of the loopback interface.
    ///
    /// # Errors
    /// [`EmbeddedError::Start`].
    pub fn start() -> Result<EmbeddedBroker, EmbeddedError> {
        let start_error = |reason: String| EmbeddedError::Start { reason };
        let (started_sender, started) = mpsc::channel();
        let (requests, receiver) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || run(&started_sender, &receiver))
            .map_err(|error| start_error(error.to_string()))?;
        let bootstrap =
            started.recv().map_err(|_| start_error("its thread ended".to_owned()))?.map_err(start_error)?;
        Ok(EmbeddedBroker { bootstrap, requests: Some(requests), thread: Some(thread) })
    }

    /// Creates a topic; `full_name` includes the prefix. One that is there already is left as it is.
    ///
    /// # Errors
    /// [`EmbeddedError::CreateTopic`].
    pub fn create_topic(&self, full_name: &str, partitions: i32) -> Result<(), EmbeddedError> {
        self.request_topic(full_name, partitions).map_err(|reason| EmbeddedError::CreateTopic {
            topic: full_name.to_owned(),
            partitions,
            reason,
        })
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

    fn request_topic(&self, full_name: &str, partitions: i32) -> Result<(), String> {
        let ended = || "the embedded broker has ended".to_owned();
        let (done, answer) = mpsc::channel();
        let request = CreateTopic { topic: full_name.to_owned(), partitions, done };
        self.requests.as_ref().ok_or_else(ended)?.send(request).map_err(|_| ended())?;
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
fn run(started: &mpsc::Sender<Result<String, String>>, requests: &mpsc::Receiver<CreateTopic>) {
    let cluster = match MockCluster::new(1) {
        Ok(cluster) => cluster,
        Err(error) => {
            report(started, Err(error.to_string()));
            return;
        }
    };
    report(started, Ok(cluster.bootstrap_servers()));
    for request in requests {
        report(&request.done, create_topic(&cluster, &request));
    }
}

fn create_topic<C: ClientContext>(cluster: &MockCluster<'_, C>, request: &CreateTopic) -> Result<(), String> {
    match cluster.create_topic(&request.topic, request.partitions, 1) {
        Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        created => created.map_err(|error| error.to_string()),
    }
}

fn report<T>(to: &mpsc::Sender<T>, value: T) {
    // Nobody listens any more only while the broker is being dropped.
    if to.send(value).is_err() {
        tracing::debug!("the embedded broker's answer was not awaited");
    }
}
