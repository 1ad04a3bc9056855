//! The log beside the recorded services: which records it had at which time, and a log that has what another one had then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use daybook_event::envelope;
use daybook_event::sequence::{Sequence, Verdict};
use daybook_kafka::{Kafka, Outgoing, Polled, Reader, Start, Writer, topics};
use serde_json::Value;
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::log;
use system_tests::power_cut::notes::now_ns;

/// Longest sleep of who watches, and so the time that its stop may take.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// A record, and a time at which the log had it.
#[derive(Debug)]
struct Seen {
    ns: u64,
    topic: &'static str,
    partition: i32,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A thread that reads a log as it grows.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Watched>,
}

/// What a log had, and when.
pub(crate) struct Watched(Vec<Seen>);

impl Watch {
    pub(crate) fn start(kafka: &Kafka, topics: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (kafka, stopped) = (kafka.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || watch(&kafka, topics, &stopped));
        Self { stop, thread }
    }

    /// Reads to the end of the log, to which nothing comes any more.
    pub(crate) fn stop(self) -> Watched {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("no panic while reading")
    }
}

fn watch(kafka: &Kafka, topics: &[&'static str], stopped: &AtomicBool) -> Watched {
    let of_topic =
        |topic: &&'static str| (0..PARTITIONS).map(|partition| (*topic, partition)).collect::<Vec<_>>();
    let sources: Vec<(&'static str, i32)> = topics.iter().flat_map(of_topic).collect();
    let start = |(topic, partition): &(&str, i32)| Start {
        topic: (*topic).to_owned(),
        partition: *partition,
        offset: 0,
    };
    let reader = Reader::open(kafka, &sources.iter().map(start).collect::<Vec<_>>()).expect("a reader");
    let mut seen = Vec::new();
    let mut wanted = None;
    while wanted != Some(seen.len()) {
        if wanted.is_none() && stopped.load(Ordering::SeqCst) {
            let marks = topics::all_watermarks(kafka, &sources).expect("the ends");
            wanted = Some(marks.iter().map(|marks| usize::try_from(marks.high).expect("an end")).sum());
        }
        if let Polled::Record(record) = reader.poll(POLL_TIMEOUT).expect("a readable log") {
            let (topic, partition) = sources[record.source()];
            let (key, value) = (record.key().unwrap_or_default(), record.value().unwrap_or_default());
            seen.push(Seen { ns: now_ns(), topic, partition, key: key.to_vec(), value: value.to_vec() });
        }
    }
    Watched(seen)
}

impl Watched {
    /// A log of its own with what this one was seen to have before `ns`; of the topics in `whole`, with all it ever had.
    ///
    /// What a service had sent and nobody had seen then is missing: as if it had been lost on its way, or with the log's end.
    pub(crate) fn at(&self, ns: u64, whole: &[&str]) -> TestBroker {
        let broker = TestBroker::embedded();
        let writer =
            Writer::open(broker.kafka(), |delivery| assert!(delivery.result.is_ok())).expect("a writer");
        for seen in self.0.iter().filter(|seen| seen.ns < ns || whole.contains(&seen.topic)) {
            let Seen { topic, partition, key, value, .. } = seen;
            let record = Outgoing { topic, partition: *partition, key, value, headers: &[], tag: 0 };
            writer.send(record).expect("room for a record");
        }
        writer.flush(FLUSH_TIMEOUT).expect("a log that takes records");
        broker
    }
}

/// An event of a topic.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) subject: String,
    /// Of its aggregate.
    pub(crate) version: u64,
    pub(crate) data: Value,
}

/// All events of a topic by partition and position; each partition has every position once, in order.
pub(crate) fn events(kafka: &Kafka, topic: &str) -> Result<BTreeMap<(i32, u64), Event>, String> {
    let mut events = BTreeMap::new();
    for (partition, records) in (0..).zip(log::records(kafka, topic)) {
        let mut sequence = Sequence::default();
        for logged in records {
            let verdict = sequence.check(logged.epoch, logged.position, logged.id, logged.previous_id);
            let verdict = verdict.map_err(|error| format!("partition {partition} of the log: {error}"))?;
            sequence.pass(verdict, logged.epoch, logged.id, logged.offset);
            if verdict == Verdict::Apply {
                events.insert((partition, logged.position), event(&logged.record.1)?);
            }
        }
    }
    Ok(events)
}

fn event(value: &[u8]) -> Result<Event, String> {
    let envelope = envelope::open(Some(value), Vec::new).map_err(|error| error.to_string())?;
    let data = serde_json::from_str(envelope.data.get()).map_err(|error| error.to_string())?;
    Ok(Event { subject: envelope.subject.to_string(), version: envelope.aggregate_version, data })
}
