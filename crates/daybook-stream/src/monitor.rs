//! Asks brokers again and again, beside a reader: where its partitions end, whether the log is still the one that is read, and whether
//! anybody has changed a topic. What that leads to is the owner's.

use std::io;
use std::thread;
use std::time::Instant;

use daybook_event::doubt::Doubts;
use daybook_kafka::topics::{Held, TopicError, TopicWatch};
use daybook_kafka::{Kafka, LogError};

use crate::locate::{Watched, doubt};

/// Turns for each look at partitions and settings of topics, which only an operator changes.
const TURNS_PER_LOOK: u32 = 5;

/// One watcher of topics and brokers, over a connection that is kept.
pub struct BrokerMonitor {
    kafka: Kafka,
    topics: TopicWatch,
    doubts: Doubts,
    turns: u32,
}

impl BrokerMonitor {
    /// Starts a thread of this name that takes one turn after the other, until `pause`, which is called in between, returns true. It is
    /// never waited for: it owns nothing, and ends by itself soon after.
    pub fn start(
        name: &str,
        kafka: Kafka,
        mut turn: impl FnMut(&mut Self) + Send + 'static,
        pause: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<()> {
        let run = move || match Self::open(kafka) {
            // The owner's reader or writer is refused for the same reason, and tells it.
            Err(error) => tracing::debug!("topics are not watched: {error}"),
            Ok(mut monitor) => loop {
                turn(&mut monitor);
                monitor.turns = monitor.turns.wrapping_add(1);
                if pause() {
                    break;
                }
            },
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    fn open(kafka: Kafka) -> Result<Self, LogError> {
        let topics = TopicWatch::open(&kafka)?;
        Ok(Self { kafka, topics, doubts: Doubts::begin(Instant::now()), turns: 0 })
    }

    pub fn held<T: AsRef<str>>(&self, partitions: &[(T, i32)]) -> Result<Vec<Held>, TopicError> {
        self.topics.held(partitions)
    }

    /// What is doubtful about the logs that are followed. A log that cannot be asked is asked again in a later turn.
    pub fn doubt(&mut self, watched: &[Watched<'_>], is_over: &dyn Fn() -> bool) -> Option<String> {
        doubt(&self.kafka, watched, &mut self.doubts, is_over).unwrap_or_else(|error| {
            tracing::debug!("the log cannot be asked for what was read last: {error}");
            None
        })
    }

    /// Whether this is a turn in which topics are looked at.
    pub fn is_look_due(&self) -> bool {
        self.turns.is_multiple_of(TURNS_PER_LOOK)
    }

    /// What is wrong with topics, given how many partitions each is to have.
    pub fn look<T: AsRef<str>>(&mut self, topics: &[(T, i32)]) -> Vec<TopicError> {
        self.topics.look(topics)
    }
}
