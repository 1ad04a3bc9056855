//! The generation manager while a candidate is being compared, with generations and a log of a toy's own.

use std::borrow::Cow;
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use daybook_event::envelope::{Envelope, Source, seal};
use daybook_event::event_data::DataError;
use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::{Outgoing, Writer};
use daybook_projection::store::Failure;
use daybook_projection::{
    Checkpoint, Generation, Progress, SourceCheckpoint, SourceId, StopReason, StoreError, Topic,
};
use daybook_service::Stop;
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;

const TOPIC: &str = "clock.events";
const TICKS: Projection<Tick> =
    Projection { layout_version: 1, topics: &[Topic { name: TOPIC, service: "clock" }], views: &[] };
const HOLDER: &str = "a test";
const SERVED: &str = "gen-000001";
const NEXT: &str = "gen-000002";
/// Nobody answers there.
const NO_BROKER: &str = "127.0.0.1:1";
/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two checks.
const POLL_AGAIN: Duration = Duration::from_millis(5);

/// Events of the log.
const EVENTS: u64 = 100;
/// How often its first one lies in it once more, before it is cut.
const REPEATED: u64 = 5;
/// Records that are read, at most, before it is cut.
const READ_BEFORE: u64 = EVENTS / 2;

struct Tick;

impl EventData for Tick {
    fn event_type(&self) -> &'static str {
        "toy.clock.ticked.v1"
    }
    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value("tick")
    }
    fn from_data(_: &str, _: &RawValue) -> Result<Self, DataError> {
        Ok(Self)
    }
}

fn id(position: u64) -> Uuid {
    Uuid::from_u128(u128::from(position) + 1)
}

/// A broker that has all events, the first one several times.
fn broker(repeated: u64) -> EmbeddedBroker {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic(TOPIC, 1).unwrap();
    let writer = Writer::open(&broker.kafka(""), |_| {}).unwrap();
    for position in (0..repeated).map(|_| 0).chain(0..EVENTS) {
        let value = seal(&Envelope {
            writer_epoch: 0,
            previous_id: None,
            id: id(position),
            source: Source { service: "clock".into(), partition: 0 },
            event_type: Tick.event_type().into(),
            subject: Uuid::nil(),
            time: Timestamp::UNIX_EPOCH,
            position,
            aggregate_version: 1,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            traceparent: None,
            data: Cow::Owned(Tick.to_data().unwrap()),
        });
        let (key, value) = (Uuid::nil().to_string(), value.unwrap());
        let record = Outgoing {
            topic: TOPIC,
            partition: 0,
            key: key.as_bytes(),
            value: &value,
            headers: &[],
            tag: position,
        };
        writer.send(record).unwrap();
        // Each is a batch of its own, and readers get no more than that at once.
        writer.flush(DEADLINE).unwrap();
    }
    broker
}

/// Where a log has been projected so far of which no event was repeated.
fn projected(events: u64) -> Checkpoint {
    let offset = i64::try_from(events).unwrap();
    let at = SourceCheckpoint {
        next_offset: offset,
        next_position: events,
        last_id: events.checked_sub(1).map(id),
        resume_offset: offset,
        ..SourceCheckpoint::default()
    };
    Checkpoint::from_sources([(SourceId { topic: TOPIC.into(), partition: 0 }, at)])
}

/// Published, and open.
fn generation(read_model: &ReadModel, name: &str, events: u64) -> Arc<Generation> {
    let (path, layout) = (read_model.path_of(name), TICKS.layout());
    Generation::create(&path, &layout, &projected(events), HOLDER).unwrap().finish().unwrap();
    read_model.publish(name).unwrap();
    Arc::new(Generation::open(&path, &layout, HOLDER).unwrap())
}

fn manager(directory: &Path, kafka: Kafka) -> GenerationManager<Tick> {
    let read_model = ReadModel::open(directory).unwrap();
    let api = Api::new(read_model.clone(), &TICKS.layout(), Duration::ZERO, Duration::ZERO);
    let (builds, _nobody_builds) = mpsc::channel(1);
    GenerationManager::new(Arc::new(api), kafka, read_model, TICKS, HOLDER.to_owned(), builds)
}

fn served(manager: &GenerationManager<Tick>) -> Option<String> {
    manager.api.serving_now().map(|serving| serving.name.clone())
}

fn no_broker() -> Kafka {
    Kafka { brokers: NO_BROKER.to_owned(), options: Vec::new(), topic_prefix: String::new(), embedded: true }
}

/// Its disk has refused a write. The progress lasts as long as its sender.
fn serve_on_a_full_disk(
    manager: &mut GenerationManager<Tick>,
    generation: Arc<Generation>,
) -> watch::Sender<Arc<Progress>> {
    let error = StoreError::new("write", generation.path(), "no space");
    let error = StoreError { failure: Failure::Write, ..error };
    let state = State::Stopped(Arc::new(StopReason::Store(error)));
    let progress = Progress { state, ..Progress::start(generation.checkpoint()) };
    let (follower, progress) = watch::channel(Arc::new(progress));
    let candidate = manager.opener.follow(SERVED.to_owned(), generation).unwrap();
    manager.serve(Candidate { progress, ..candidate });
    follower
}

/// A start would build again, or serve less than was shown.
#[tokio::test]
async fn what_was_let_go_is_opened_again_where_what_is_published_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut manager = manager(directory.path(), no_broker());
    let [old, new] =
        [(SERVED, 90), (NEXT, 1)].map(|(name, events)| generation(&manager.read_model, name, events));
    drop(new);
    let _follower = serve_on_a_full_disk(&mut manager, old);
    manager.next_is(NEXT).await.end(candidate::Ended { why: "the log has a gap".to_owned(), at: None });
    let stopped = Stop::default();
    let deadline = Instant::now() + DEADLINE;
    let mut was_let_go = false;
    while !was_let_go || served(&manager).is_none() {
        assert!(Instant::now() < deadline, "{:?}", manager.api.next.load());
        manager.tick().await;
        was_let_go |= served(&manager).is_none();
        if matches!(manager.next, Some(Next { stage: Stage::Opening(..), .. })) {
            let Moved::Opened(opened) = next::moved(&mut manager.next).await else { panic!("opened") };
            manager.opened(opened).await;
        }
        manager.judge(&stopped).await;
    }
    assert_eq!(served(&manager).as_deref(), Some(SERVED));
    assert_eq!(manager.read_model.named().unwrap().as_deref(), Some(NEXT), "an operator wants it");
}

/// It cannot be opened for a while, and an operator has built another one, as advised.
#[tokio::test]
async fn what_is_published_later_takes_the_place_of_what_was_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let mut manager = manager(directory.path(), no_broker());
    generation(&manager.read_model, SERVED, 90);
    let reopened =
        |instead_of: &str| Some(Reopened { name: SERVED.to_owned(), instead_of: instead_of.to_owned() });
    manager.reopened = reopened(SERVED);
    manager.tick().await;
    assert_eq!(manager.next.as_ref().map(|next| &*next.name), Some(SERVED));
    generation(&manager.read_model, NEXT, 90);
    manager.tick().await;
    assert_eq!(manager.next.as_ref().map(|next| &*next.name), Some(NEXT));
    // Unless it is what was refused before.
    manager.reopened = reopened(NEXT);
    manager.tick().await;
    assert_eq!(manager.next.as_ref().map(|next| &*next.name), Some(SERVED));
}

/// What is served has to get further before both can be compared, and will not: its disk has refused a write.
#[tokio::test(start_paused = true)]
async fn what_is_compared_with_what_is_let_go_is_served_without_waiting_for_the_comparison() {
    let directory = tempfile::tempdir().unwrap();
    let mut manager = manager(directory.path(), no_broker());
    let [old, new] =
        [(SERVED, 3), (NEXT, 4)].map(|(name, events)| generation(&manager.read_model, name, events));
    let _follower = serve_on_a_full_disk(&mut manager, old);
    let new = manager.opener.follow(NEXT.to_owned(), new).unwrap();
    manager.next_is(NEXT).await.catch_up(new);
    let stopped = Stop::default();
    manager.judge(&stopped).await;
    let Some(Next { stage: Stage::Comparing(at_work, _), .. }) = &manager.next else { panic!("compared") };
    let given_up = at_work.given_up.clone();

    while served(&manager).is_some() {
        assert!(!given_up.requested());
        tokio::time::advance(Duration::from_secs(1)).await;
        manager.recover_store().await;
    }
    assert!(given_up.requested(), "its result is no longer needed");
    let Moved::Compared(with, compared) = next::moved(&mut manager.next).await else { panic!("compared") };
    manager.compared(&with, compared).await;
    manager.judge(&stopped).await;
    assert_eq!(served(&manager).as_deref(), Some(NEXT));
}

/// Two brokers stand for the log before and after: it loses its end in the middle of the comparison, and has all events again at
/// once, at other offsets. What is read next is an event that comes too early.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_compared_while_the_log_is_cut_and_healed_is_served_in_the_end() {
    let (before, after) = (broker(REPEATED), broker(0));
    after.broker_down(1).unwrap();
    let mut kafka = before.kafka("");
    kafka.brokers = [before.bootstrap(), after.bootstrap()].join(",");
    // Readers have no more at hand than what they are about to take.
    kafka.options = vec![("queued.min.messages".to_owned(), "1".to_owned())];
    let directory = tempfile::tempdir().unwrap();
    let mut manager = manager(directory.path(), kafka);
    let (opener, read_model) = (manager.opener.clone(), manager.read_model.clone());
    let [old, new] = [(SERVED, 0), (NEXT, 1)].map(|(name, events)| generation(&read_model, name, events));
    let mut old = opener.follow(SERVED.to_owned(), old).unwrap();
    let is_there = |now: &Arc<Progress>| now.checkpoint.covers(&projected(EVENTS));
    let there = tokio::time::timeout(DEADLINE, old.progress.wait_for(is_there)).await.is_ok();
    assert!(there, "{:?}", old.progress.borrow());
    manager.serve(old);

    let (at_work, candidate, serving) = (opener.clone(), new.clone(), manager.api.serving_now().unwrap());
    let comparing = tokio::task::spawn_blocking(move || {
        let asked = Cell::new(0);
        // It is asked before each record.
        let cut = || {
            asked.set(asked.get() + 1);
            if asked.get() == READ_BEFORE {
                before.broker_down(1).unwrap();
                after.broker_up(1).unwrap();
            }
            false
        };
        let moment = serving.generation.last_moment();
        (at_work.compare_at(&candidate, &serving, &moment, &cut), before, after)
    });
    let (compared, _before, _after) = comparing.await.unwrap();
    let why = compared.unwrap().unwrap();
    assert!(why.contains("was expected"), "{why}");

    let candidate = opener.follow(NEXT.to_owned(), new).unwrap();
    let again = Some(why);
    manager.next = Some(Next::new(NEXT.to_owned()));
    manager.compared(SERVED, Ok(compare::Compared { candidate, again })).await;
    let (api, stopped) = (manager.api.clone(), Stop::default());
    let running = tokio::spawn(manager.run(stopped.clone()));
    let deadline = Instant::now() + DEADLINE;
    while api.serving_now().is_none_or(|serving| serving.name != NEXT) {
        assert!(Instant::now() < deadline, "{:?}", api.next.load());
        tokio::time::sleep(POLL_AGAIN).await;
    }
    assert_eq!(**api.refused.load(), None);
    stopped.request();
    running.await.unwrap();
    assert_eq!(read_model.named().unwrap().as_deref(), Some(NEXT));
    assert!(read_model.withdrawn().unwrap().is_empty());
}
