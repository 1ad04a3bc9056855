//! What the tests share: topics with names of their own, writing and reading with a deadline.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{
    BatchItem, Delivery, DeliveryError, Kafka, LogError, Outgoing, Polled, Reader, Start, Writer,
};

/// Past it something hangs; nothing measured here comes near it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Embedded {
    // Kept: dropping it stops the broker.
    pub(crate) broker: EmbeddedBroker,
    pub(crate) kafka: Kafka,
}

/// A fresh embedded broker with the given topics (bare names).
pub(crate) fn embedded(topics: &[(&str, i32)]) -> Embedded {
    embedded_with(1, topics)
}

/// The same of so many brokers.
pub(crate) fn embedded_with(brokers: i32, topics: &[(&str, i32)]) -> Embedded {
    let broker = EmbeddedBroker::start_with(brokers).unwrap();
    let kafka = broker.kafka("test.");
    for (topic, partitions) in topics {
        broker.create_topic(&kafka.topic_name(topic), *partitions).unwrap();
    }
    Embedded { broker, kafka }
}

/// Apache Kafka, with a topic prefix that no other test has.
pub(crate) fn real_kafka() -> Kafka {
    let brokers = std::env::var("DAYBOOK_TEST_BROKERS").expect("DAYBOOK_TEST_BROKERS names a Kafka");
    Kafka {
        brokers,
        options: Vec::new(),
        topic_prefix: format!("test-{}.", uuid::Uuid::now_v7().simple()),
        embedded: false,
    }
}

pub(crate) fn start(topic: &str, partition: i32, offset: i64) -> Start {
    Start { topic: topic.to_owned(), partition, offset }
}

/// librdkafka gives a topic half a minute to become known; no test waits that long.
pub(crate) fn soon_unknown() -> (String, String) {
    ("topic.metadata.propagation.max.ms".to_owned(), "500".to_owned())
}

/// A delivery that stands on its own.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) tag: u64,
    pub(crate) result: Result<i64, DeliveryError>,
}

/// A writer and what it reports.
pub(crate) fn writer(kafka: &Kafka) -> (Writer, mpsc::Receiver<Delivered>) {
    let (sender, deliveries) = mpsc::channel();
    let report = move |delivery: Delivery<'_>| {
        let Delivery { topic, partition, tag, result } = delivery;
        // Refused only while a failing test unwinds; a second panic then would hide the first.
        sender.send(Delivered { topic: topic.to_owned(), partition, tag, result }).unwrap_or_default();
    };
    (Writer::open(kafka, report).unwrap(), deliveries)
}

pub(crate) fn outgoing<'a>(topic: &'a str, partition: i32, value: &'a [u8], tag: u64) -> Outgoing<'a> {
    Outgoing { topic, partition, key: b"key", value, headers: &[], tag }
}

/// Writes one record per value and waits until all are acknowledged.
pub(crate) fn write(kafka: &Kafka, topic: &str, partition: i32, values: &[&str]) {
    let (writer, deliveries) = writer(kafka);
    for value in values {
        writer.send(outgoing(topic, partition, value.as_bytes(), 0)).unwrap();
    }
    writer.flush(DEADLINE).unwrap();
    assert!(deliveries.try_iter().all(|delivered| delivered.result.is_ok()));
}

/// What a reader returned: a record's source, offset and value, or the end of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Record { source: usize, offset: i64, value: String },
    End { source: usize },
}

pub(crate) fn next(reader: &Reader) -> Seen {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        match reader.poll(DEADLINE).unwrap() {
            Polled::Record(record) => {
                let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
                return Seen::Record { source: record.source(), offset: record.offset(), value };
            }
            Polled::End { source } => return Seen::End { source },
            Polled::Nothing => {}
        }
    }
    panic!("neither record nor end within {DEADLINE:?}");
}

/// Everything up to the first end of each of `sources` sources.
pub(crate) fn read_to_ends(reader: &Reader, sources: usize) -> Vec<Seen> {
    let mut ended = vec![false; sources];
    let mut seen = Vec::new();
    while ended.contains(&false) {
        let found = next(reader);
        if let Seen::End { source } = found {
            ended[source] = true;
        }
        seen.push(found);
    }
    seen
}

/// Offsets and values of one source, in the order seen.
pub(crate) fn records_of(seen: &[Seen], wanted: usize) -> Vec<(i64, String)> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Record { source, offset, value } if *source == wanted => Some((*offset, value.clone())),
            _ => None,
        })
        .collect()
}

/// The error that stops the reader.
pub(crate) fn read_error(reader: &Reader) -> LogError {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        match reader.poll(DEADLINE) {
            Ok(Polled::Record(record)) => {
                panic!("a record at offset {} instead of an error", record.offset())
            }
            Ok(Polled::End { .. } | Polled::Nothing) => {}
            Err(error) => return error,
        }
    }
    panic!("no error within {DEADLINE:?}");
}

pub(crate) fn see(item: BatchItem<'_>) -> Seen {
    match item {
        BatchItem::Record(record) => {
            let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
            Seen::Record { source: record.source(), offset: record.offset(), value }
        }
        BatchItem::End { source } => Seen::End { source },
    }
}

/// As [`read_to_ends`], in batches.
pub(crate) fn batches_to_ends(reader: &Reader, sources: usize) -> Vec<Seen> {
    let began = Instant::now();
    let mut seen = Vec::new();
    while !(0..sources).all(|source| seen.contains(&Seen::End { source })) {
        assert!(began.elapsed() < DEADLINE, "no ends within {DEADLINE:?}");
        reader
            .poll_batch::<LogError>(DEADLINE, |item| {
                seen.push(see(item));
                Ok(())
            })
            .unwrap();
    }
    seen
}

/// As [`read_error`], in batches.
pub(crate) fn batch_error(reader: &Reader) -> LogError {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        let visit = |item: BatchItem<'_>| match see(item) {
            Seen::Record { offset, .. } => panic!("a record at offset {offset} instead of an error"),
            Seen::End { .. } => Ok(()),
        };
        if let Err(error) = reader.poll_batch(DEADLINE, visit) {
            return error;
        }
    }
    panic!("no error within {DEADLINE:?}");
}
