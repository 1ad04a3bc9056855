//! The embedded broker, and a log of `crate::log` written to it.

use std::time::{Duration, Instant};

use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{Kafka, Outgoing, SendError, Writer};
use daybook_projection::Generation;

use crate::domain;
use crate::log::{PARTITIONS, Record, SourceIndex, topic_and_partition, zero};

/// Nothing here takes that long unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Broker {
    broker: EmbeddedBroker,
    pub(crate) kafka: Kafka,
}

impl Broker {
    /// With the domain's topics.
    pub(crate) fn start() -> Self {
        let broker = Self::without_topics();
        broker.create_topics();
        broker
    }

    pub(crate) fn without_topics() -> Self {
        Self::of(EmbeddedBroker::start().unwrap())
    }

    fn of(broker: EmbeddedBroker) -> Self {
        let kafka = broker.kafka("test.");
        Self { broker, kafka }
    }

    /// Two brokers with the domain's topics; the first leads all partitions.
    pub(crate) fn start_two() -> Self {
        let broker = Self::of(EmbeddedBroker::start_with(2).unwrap());
        broker.create_topics();
        (0..zero().sources().len()).for_each(|source| broker.set_leader(source, Some(1)));
        broker
    }

    /// Nobody leads a partition only while no client knows another leader.
    pub(crate) fn set_leader(&self, source: SourceIndex, leader: Option<i32>) {
        let (topic, partition) = topic_and_partition(source);
        self.broker.set_leader(&self.kafka.topic_name(&topic), partition, leader).unwrap();
    }

    pub(crate) fn down(&self, broker: i32) {
        self.broker.broker_down(broker).unwrap();
    }

    pub(crate) fn up(&self, broker: i32) {
        self.broker.broker_up(broker).unwrap();
    }

    pub(crate) fn create_topics(&self) {
        for topic in domain::projection().topics {
            self.create_topic(topic.name, PARTITIONS);
        }
    }

    /// Answers the next so many requests for records with a denial.
    pub(crate) fn deny_reads(&self, times: usize) {
        self.broker.refuse_reads(times).unwrap();
    }

    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        self.broker.create_topic(&self.kafka.topic_name(topic), partitions).unwrap();
    }

    pub(crate) fn write(&self, records: &[Record]) {
        self.write_where(records, |record| topic_and_partition(record.source));
    }

    pub(crate) fn write_to(&self, topic: &str, partition: i32, records: &[Record]) {
        self.write_where(records, |_| (topic.to_owned(), partition));
    }

    fn write_where(&self, records: &[Record], place: impl Fn(&Record) -> (String, i32)) {
        let writer = Writer::open(&self.kafka, |delivery| {
            delivery.result.unwrap();
        })
        .unwrap();
        for record in records {
            let (topic, partition) = place(record);
            let outgoing = Outgoing {
                topic: &topic,
                partition,
                key: &record.key,
                value: &record.value,
                headers: &[],
                tag: 0,
            };
            until("the writer's queue has room", || match writer.send(outgoing) {
                Ok(()) => Some(()),
                Err(SendError::QueueFull) => None,
                Err(error) => panic!("{error}"),
            });
        }
        writer.flush(DEADLINE).unwrap();
    }
}

/// Waits for a condition; fails the test if it does not come.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn until_events(generation: &Generation, events: u64) {
    until(&format!("{events} events are projected"), || {
        (generation.checkpoint().events() == events).then_some(())
    });
}
