//! A whole service in the test's process, on librdkafka's mock cluster.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use daybook_journal::{Beginning, Event, Group, find};
use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{Kafka, Outgoing, Polled, Reader, Start, Writer, topics};
use daybook_service::{ConnectionLimits, Stop};
use daybook_store::testing::copy_dir;
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use crate::command::{Cause, Condition, Outcome, Request};
use crate::commit::seal::{Ambient, SystemAmbient, now_ms};
use crate::run::StartProgress;
use crate::running::Running;
use crate::store::rows::counted;
use crate::{Aggregate, AnswerAfter, Limits, RunError, Service, Settings};

/// How long a test waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(30);
pub const PARTITIONS: i32 = 3;

/// So many brokers with these topics.
pub fn brokers_with<'t>(count: i32, topics: impl IntoIterator<Item = &'t str>) -> EmbeddedBroker {
    let broker = EmbeddedBroker::start_with(count).unwrap();
    for topic in topics {
        broker.create_topic(topic, PARTITIONS).unwrap();
    }
    broker
}

pub fn settings(kafka: Kafka, dir: &Path) -> Settings {
    Settings {
        kafka,
        partitions: PARTITIONS,
        replication_factor: 1,
        data_dir: dir.to_owned(),
        recover: false,
        take_over: false,
        adopt_cluster: false,
        answer_after: AnswerAfter::Disk,
        limits: Limits { cache_bytes_max: 16 << 20, ..Limits::default() },
        connections: ConnectionLimits::default(),
    }
}

/// Nothing is sent: the producer waits for ever for more to send along. Undone by `kafka.options.clear()`.
pub fn kafka_is_away(settings: &mut Settings) {
    settings.kafka.options = vec![("linger.ms".to_owned(), "900000".to_owned())];
    settings.limits.drain_timeout = Duration::ZERO;
}

/// Looks again and again until `found` has something, or the deadline passes.
#[track_caller]
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Looks until what is seen is as wanted, for as long as it changes within each deadline: how much there is to do, and how
/// slow the machine is, does not matter.
#[track_caller]
pub fn keeps_moving<T: PartialEq>(what: &str, mut seen: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) {
    let mut last = seen();
    while !wanted(&last) {
        last = eventually(what, || Some(seen()).filter(|seen| *seen != last));
    }
}

/// Lets a service decide a command, without HTTP; it must be accepted.
#[track_caller]
pub fn execute<A: Aggregate>(
    service: &Service<A>,
    aggregate_id: Uuid,
    command: A::Command,
) -> impl Future<Output = ()> {
    let id = service.ambient.new_id();
    let cause = Cause { correlation_id: id, command_id: id, traceparent: None };
    let executed = service.execute(Request {
        aggregate_id,
        command,
        is_fresh: false,
        condition: Condition::default(),
        idempotency: None,
        cause,
    });
    async { assert!(matches!(executed.await, Ok(Outcome::Accepted(_)))) }
}

/// The system's clock, set to another time.
struct ClockSetTo {
    then: SystemTime,
    since: Instant,
}

impl Ambient for ClockSetTo {
    fn now(&self) -> Timestamp {
        Timestamp::try_from(self.then + self.since.elapsed()).unwrap()
    }

    fn new_id(&self) -> Uuid {
        SystemAmbient.new_id()
    }
}

/// A running service with its own directory, and a broker that it may share.
pub struct TestService<A: Aggregate> {
    pub settings: Settings,
    pub router: Router,
    running: Option<Running<A>>,
    make_router: fn(Arc<Service<A>>) -> Router,
    ambient: Arc<dyn Ambient>,
    // Dropped last.
    _dir: TempDir,
}

impl<A: Aggregate> TestService<A> {
    pub fn start(kafka: Kafka, router: fn(Arc<Service<A>>) -> Router) -> Self {
        Self::start_with(kafka, router, |_| {})
    }

    pub fn start_with(
        kafka: Kafka,
        router: fn(Arc<Service<A>>) -> Router,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::start_as_of(Arc::new(SystemAmbient), kafka, router, change)
    }

    /// With a clock that says now that it is `then`, and goes on from there.
    pub fn start_at(
        then: SystemTime,
        kafka: Kafka,
        router: fn(Arc<Service<A>>) -> Router,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::start_as_of(Arc::new(ClockSetTo { then, since: Instant::now() }), kafka, router, change)
    }

    fn start_as_of(
        ambient: Arc<dyn Ambient>,
        kafka: Kafka,
        router: fn(Arc<Service<A>>) -> Router,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let mut settings = settings(kafka, &dir.path().join("data"));
        change(&mut settings);
        let running = Running::start(&settings, Arc::clone(&ambient), &StartProgress::default()).unwrap();
        let running_router = router(Arc::clone(&running.service));
        let (router, make_router) = (running_router, router);
        Self { settings, router, running: Some(running), make_router, ambient, _dir: dir }
    }

    pub fn service(&self) -> &Arc<Service<A>> {
        &self.running.as_ref().unwrap().service
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.router = Router::new();
            running.stop().unwrap();
        }
    }

    /// Stops if it runs, changes settings, and starts again on the same directory.
    pub fn restart(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), RunError> {
        self.stop();
        change(&mut self.settings);
        let running = Running::start(&self.settings, Arc::clone(&self.ambient), &StartProgress::default())?;
        self.router = (self.make_router)(Arc::clone(&running.service));
        self.running = Some(running);
        Ok(())
    }

    /// Waits for no request, stops, and returns how it ended.
    pub fn end(mut self) -> Result<(), RunError> {
        self.ended()
    }

    /// The same; its directory stays.
    pub fn ended(&mut self) -> Result<(), RunError> {
        self.router = Router::new();
        self.running.take().map_or(Ok(()), Running::stop)
    }

    /// Says so when the service ends by itself.
    #[cfg(test)]
    pub(crate) fn running(&self) -> &Running<A> {
        self.running.as_ref().unwrap()
    }

    pub fn faults(&self) -> Stop {
        self.running.as_ref().unwrap().faults.clone()
    }

    /// Rows of the store whose key begins with this letter.
    pub fn rows(&self, kind: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
        let span = (vec![kind], vec![kind + 1]);
        let rows = self.service().store.scan(&span, usize::MAX).unwrap();
        rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    /// Stops, appends a group to the journal past the service, counted as its own are, and starts again.
    pub fn append(&mut self, mut group: Group) {
        for event in &group.events {
            group.writes.push(counted(event));
        }
        self.stop();
        let found = find(&self.settings.data_dir.join("store/journal")).unwrap();
        let (identity, now_ms) = (found.identity().unwrap().clone(), now_ms(&SystemAmbient));
        let beginning =
            Beginning { identity: &identity, new_id: Uuid::nil(), initial: &[], in_log: &[], now_ms };
        let mut journal = found.begin(&beginning, &daybook_journal::Settings::default()).unwrap();
        journal.append(group, now_ms).unwrap();
        journal.close(now_ms).unwrap();
        self.restart(|_| {}).unwrap();
    }

    /// All events that the journal has, by partition and position.
    pub fn journaled(&self) -> Vec<Event> {
        journaled(&self.service().journal)
    }

    /// Blocks until Kafka has everything.
    #[track_caller]
    pub fn relayed(&self) {
        keeps_moving("an empty outbox", || self.service().positions.unsent(), |unsent| *unsent == 0);
    }
}

impl<A: Aggregate> Drop for TestService<A> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.router = Router::new();
            let stopped = running.stop();
            assert!(std::thread::panicking() || stopped.is_ok(), "{stopped:?}");
        }
    }
}

/// All events that a journal has, by partition and position.
pub fn journaled(journal: &daybook_journal::Reader) -> Vec<Event> {
    let mut events = Vec::new();
    for (partition, state) in journal.partitions().iter().enumerate() {
        for position in journal.kept_from(partition).unwrap_or(state.next)..state.next {
            let record = journal.events(partition, position).unwrap();
            let is_it = |event: &&Event| event.partition as usize == partition && event.position == position;
            events.extend(record.and_then(|record| record.iter().find(is_it).cloned()));
        }
    }
    events
}

/// The whole of a topic, as it lies in Kafka.
pub struct Log {
    /// Per partition: keys and values of events of the topic's service, in order.
    pub partitions: Vec<Vec<(String, Vec<u8>)>>,
    /// Per partition: values of events and claims.
    values: Vec<Vec<Vec<u8>>>,
}

impl Log {
    pub fn read(kafka: &Kafka, topic: &str) -> Self {
        let count = topics::partition_count(kafka, topic).unwrap().unwrap();
        let start = |partition| Start { topic: topic.to_owned(), partition, offset: 0 };
        let starts: Vec<_> = (0..count).map(start).collect();
        let all: Vec<_> = (0..count).map(|partition| (topic, partition)).collect();
        let marks = topics::all_watermarks(kafka, &all).unwrap();
        let mut missing: i64 = marks.iter().map(|marks| marks.high - marks.low).sum();
        let mut partitions: Vec<Vec<_>> = starts.iter().map(|_| Vec::new()).collect();
        let mut values: Vec<Vec<_>> = starts.iter().map(|_| Vec::new()).collect();
        let reader = Reader::open(kafka, &starts).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while missing > 0 {
            assert!(Instant::now() < deadline, "{missing} records did not come");
            if let Polled::Record(record) = reader.poll(Duration::from_millis(100)).unwrap() {
                let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
                let value = record.value().unwrap_or_default().to_vec();
                let is_claim = daybook_event::claim::open(Some(&value)).is_some();
                let is_event = is_event(topic, record.partition(), &value);
                if is_claim || is_event {
                    values[record.source()].push(value.clone());
                }
                if is_event {
                    partitions[record.source()].push((key, value));
                }
                missing -= 1;
            }
        }
        Self { partitions, values }
    }

    /// Per partition: the epochs of all claims, in order.
    pub fn claims(&self) -> Vec<Vec<u32>> {
        let epoch = |value: &Vec<u8>| Some(daybook_event::claim::open(Some(value))?.unwrap().epoch);
        self.values.iter().map(|values| values.iter().filter_map(epoch).collect()).collect()
    }

    /// All events in force, opened; asserts that positions are contiguous from 0 once repetitions are left out.
    #[track_caller]
    pub fn events(&self) -> Vec<serde_json::Value> {
        let mut events = Vec::new();
        for (partition, values) in self.values.iter().enumerate() {
            let mut sequence = daybook_event::sequence::Sequence::default();
            for (offset, value) in (0..).zip(values) {
                if let Some(claim) = daybook_event::claim::open(Some(value)) {
                    let claim = claim.unwrap();
                    sequence.pass(sequence.check_claim(claim.epoch), claim.epoch, claim.id, offset);
                    continue;
                }
                let envelope = daybook_event::envelope::open(Some(value), Vec::new).unwrap();
                assert_eq!(envelope.source.partition as usize, partition);
                let (epoch, id) = (envelope.writer_epoch, envelope.id);
                let verdict = sequence.check(epoch, envelope.position, id, envelope.previous_id);
                let verdict = verdict.unwrap_or_else(|error| panic!("partition {partition}: {error}"));
                if verdict == daybook_event::sequence::Verdict::Apply {
                    events.push(serde_json::from_slice(value).unwrap());
                }
                sequence.pass(verdict, epoch, id, offset);
            }
        }
        events
    }
}

/// Copies the index of a service that is at rest, with everything in it durable.
pub fn synced_copy<A: Aggregate>(service: &TestService<A>, to: &Path) {
    service.running.as_ref().unwrap().syncing.sync().unwrap();
    copy_dir(&service.settings.data_dir.join("store/index"), to);
}

/// The index fails under a service that is at rest; whoever opens it again finds that copy.
pub fn fail_and_come_back_as<A: Aggregate>(service: &TestService<A>, copy: &Path) {
    service.service().store.close().unwrap();
    let at = service.settings.data_dir.join("store/index");
    fs::remove_dir_all(&at).unwrap();
    copy_dir(copy, &at);
}

/// Whether a record is an event of its topic's service.
fn is_event(topic: &str, partition: i32, value: &[u8]) -> bool {
    let opened = daybook_event::envelope::open(Some(value), Vec::new);
    opened.is_ok_and(|event| {
        event.source.service == topic.trim_end_matches(".events") && event.source.partition == partition
    })
}

/// Writes records past the service, each into its partition, in this order.
#[track_caller]
pub fn write_raw(kafka: &Kafka, topic: &str, records: &[(i32, &[u8])]) {
    let keyed: Vec<_> = records.iter().map(|(partition, value)| (*partition, "k", *value)).collect();
    write_keyed(kafka, topic, &keyed);
}

/// The same with keys of their own.
#[track_caller]
pub fn write_keyed(kafka: &Kafka, topic: &str, records: &[(i32, &str, &[u8])]) {
    let writer = Writer::open(kafka, |delivery| assert!(delivery.result.is_ok())).unwrap();
    for (partition, key, value) in records {
        let key = key.as_bytes();
        let record = Outgoing { topic, partition: *partition, key, value, headers: &[], tag: 0 };
        writer.send(record).unwrap();
    }
    writer.flush(DEADLINE).unwrap();
}
