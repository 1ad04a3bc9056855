//! A log on the embedded broker, written as the services would write it: of what `crate::served` serves, whichever that is,
//! since the tests of a program with queries of its own include this file.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use daybook_event::envelope::{Envelope, Source, seal};
use daybook_event::token::Token;
use daybook_event::{Event as _, EventData};
use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{Kafka, Outgoing, Writer, partition_for_key};
use jiff::Timestamp;
use uuid::Uuid;

use crate::served::{Happened, TOPICS, topic_of};

pub(crate) const PARTITIONS: i32 = 2;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Log {
    broker: EmbeddedBroker,
    writer: Writer,
    next_positions: Mutex<BTreeMap<(&'static str, i32), u64>>,
}

impl Log {
    /// With the domain's topics.
    pub(crate) fn start() -> Self {
        let log = Self::without_topics();
        log.create_topics();
        log
    }

    pub(crate) fn without_topics() -> Self {
        Self::of(EmbeddedBroker::start().unwrap())
    }

    /// With the domain's topics on two brokers, of which the first leads all partitions but one.
    pub(crate) fn start_two((topic, partition): (&str, i32), leader: i32) -> Self {
        let log = Self::of(EmbeddedBroker::start_with(2).unwrap());
        log.create_topics();
        for all in TOPICS {
            (0..PARTITIONS).for_each(|one| log.broker.set_leader(all, one, Some(1)).unwrap());
        }
        log.broker.set_leader(topic, partition, Some(leader)).unwrap();
        log
    }

    pub(crate) fn down(&self, broker: i32) {
        self.broker.broker_down(broker).unwrap();
    }

    pub(crate) fn up(&self, broker: i32) {
        self.broker.broker_up(broker).unwrap();
    }

    fn of(broker: EmbeddedBroker) -> Self {
        let writer = Writer::open(&broker.kafka(""), |_| {}).unwrap();
        Self { broker, writer, next_positions: Mutex::default() }
    }

    pub(crate) fn create_topics(&self) {
        TOPICS.iter().for_each(|topic| self.create_topic(topic));
    }

    pub(crate) fn create_topic(&self, topic: &str) {
        self.broker.create_topic(topic, PARTITIONS).unwrap();
    }

    pub(crate) fn kafka(&self) -> Kafka {
        self.broker.kafka("")
    }

    /// Writes one event; returns its token. The event of position `p` was decided `p` seconds after 1970.
    pub(crate) fn write(&self, event: &Happened) -> String {
        self.write_to(place(event).0, event.key(), event)
    }

    /// Writes one event of any domain; returns its token.
    pub(crate) fn write_to(&self, topic: &'static str, key: Uuid, event: &impl EventData) -> String {
        let token = self.send(topic, key, event);
        self.writer.flush(FLUSH_TIMEOUT).unwrap();
        token.to_string()
    }

    /// Writes all events; returns one token for the last of each partition.
    pub(crate) fn write_all<'e>(&self, events: impl IntoIterator<Item = &'e Happened>) -> String {
        let mut last = BTreeMap::new();
        for event in events {
            last.insert(place(event), self.send(place(event).0, event.key(), event).to_string());
        }
        self.writer.flush(FLUSH_TIMEOUT).unwrap();
        last.into_values().collect::<Vec<_>>().join(",")
    }

    /// Loses positions, as a broken service would.
    pub(crate) fn skip_positions(&self, event: &Happened, count: u64) {
        let place = place(event);
        *self.next_positions.lock().unwrap().entry(place).or_default() += count;
    }

    /// Writes a record as it is, at no position.
    pub(crate) fn write_raw(&self, (topic, partition): (&'static str, i32), key: &[u8], value: &[u8]) {
        let record = Outgoing { topic, partition, key, value, headers: &[], tag: 0 };
        self.writer.send(record).unwrap();
        self.writer.flush(FLUSH_TIMEOUT).unwrap();
    }

    fn send(&self, topic: &'static str, key: Uuid, event: &impl EventData) -> Token {
        let key = key.to_string();
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        // Held until the record is on its way: positions of one partition must go out in deposit.
        let mut positions = self.next_positions.lock().unwrap();
        let next = positions.entry((topic, partition)).or_default();
        let position = *next;
        *next += 1;
        let value = seal(&Envelope {
            writer_epoch: 0,
            previous_id: None,
            id: Uuid::now_v7(),
            source: Source { service: topic.trim_end_matches(".events").to_owned().into(), partition },
            event_type: event.event_type().into(),
            subject: Uuid::nil(),
            time: Timestamp::from_second(i64::try_from(position).unwrap()).unwrap(),
            position,
            aggregate_version: 1,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            traceparent: None,
            data: std::borrow::Cow::Owned(event.to_data().unwrap()),
        })
        .unwrap();
        let record =
            Outgoing { topic, partition, key: key.as_bytes(), value: &value, headers: &[], tag: position };
        self.writer.send(record).unwrap();
        Token::one(topic, partition, position)
    }
}

pub(crate) fn place(event: &Happened) -> (&'static str, i32) {
    (topic_of(event), partition_for_key(event.key().to_string().as_bytes(), PARTITIONS))
}
