//! What comes back when a store that failed is opened afresh.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::integrity::make_once_it_is_well;
use super::toy::{Toys, router};
use crate::SystemAmbient;
use crate::commit::{Clock, Committer, HeldBack, Retiring, Work};
use crate::follow::positions::FollowedPositions;
use crate::metrics::Metrics;
use crate::outbox::positions::Positions;
use crate::run::StartProgress;
use crate::settings::Limits;
use crate::store::rows::Counter;
use crate::store::{Begun, Kept, Opening};
use crate::testing::{
    Call, Log, TestService, broker, copy_dir, eventually, fail_and_come_back_as, kafka_is_away, synced_copy,
};

async fn make(toys: &TestService<Toys>, name: &str) {
    Call::post("/toys", &json!({"name": name})).send(&toys.router).await.is(201);
}

/// Sends a command that meets the failure; then the process has to end.
#[track_caller]
fn ends_saying(toys: &mut TestService<Toys>, parts: &[&str]) -> String {
    let faults = toys.faults();
    eventually("the process to end by itself", || faults.requested().then_some(()));
    assert!(toys.service().not_ready().is_some());
    let ended = toys.ended().unwrap_err();
    assert_eq!(ended.exit_code(), 1);
    let ended = ended.to_string();
    assert!(parts.iter().all(|part| ended.contains(part)), "{parts:?} in {ended}");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_older_is_brought_to_where_the_journal_is() {
    let (broker, copy) = (broker(), TempDir::new().unwrap());
    // So that nothing but the service itself knows what was acknowledged.
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    make(&toys, "bear").await;
    synced_copy(&toys, copy.path());
    for name in ["car", "doll", "boat"] {
        make(&toys, name).await;
    }
    let durable = toys.service().positions.snapshot().durable;
    fail_and_come_back_as(&toys, copy.path());
    let refused = Call::post("/toys", &json!({"name": "ship"})).send(&toys.router).await;
    refused.is_problem(503, "store-fails");
    make_once_it_is_well(&toys, "ball").await;
    let after = toys.service().positions.snapshot().durable;
    assert_eq!(after.iter().sum::<u64>(), durable.iter().sum::<u64>() + 1);
    // A name of what came after the copy is taken.
    let taken = Call::post("/toys", &json!({"name": "doll"})).send(&toys.router).await;
    assert_eq!(taken.status, 409);
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_lacks_is_done_again_at_the_start() {
    let (broker, older, killed) = (broker(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    make(&toys, "bear").await;
    synced_copy(&toys, older.path());
    let bear = durable(&toys);
    for name in ["car", "doll"] {
        make(&toys, name).await;
    }
    // As a process that was killed leaves it, with a store from before.
    copy_dir(&toys.settings.data_dir, killed.path());
    std::fs::remove_dir_all(killed.path().join("store/index")).unwrap();
    copy_dir(older.path(), &killed.path().join("store/index"));
    let all = durable(&toys);
    toys.stop();
    toys.restart(|settings| settings.data_dir = killed.path().to_owned()).unwrap();
    assert_eq!((bear, durable(&toys)), (1, all));
    let taken = Call::post("/toys", &json!({"name": "doll"})).send(&toys.router).await;
    assert_eq!(taken.status, 409);
    toys.stop();
}

/// Events that are decided and on disk.
fn durable(toys: &TestService<Toys>) -> u64 {
    toys.service().positions.snapshot().durable.iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_older_than_the_journal_goes_back_is_built_again() {
    let (broker, copy) = (broker(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.kept_bytes_max = 0;
        settings.limits.kept_events_max = 0;
    });
    make(&toys, "bear").await;
    toys.relayed();
    toys.stop();
    let index = toys.settings.data_dir.join("store/index");
    copy_dir(&index, copy.path());
    // Each start begins a segment, and what the store has by then is not needed any more.
    for name in ["car", "doll"] {
        toys.restart(|_| {}).unwrap();
        make(&toys, name).await;
        toys.relayed();
        toys.stop();
    }
    toys.restart(|_| {}).unwrap();
    make(&toys, "boat").await;
    toys.relayed();
    toys.stop();
    std::fs::remove_dir_all(&index).unwrap();
    copy_dir(copy.path(), &index);
    toys.restart(|_| {}).unwrap();
    assert!(toys.settings.data_dir.join("store/index.aside").exists());
    for name in ["bear", "car", "doll", "boat"] {
        Call::post("/toys", &json!({"name": name})).send(&toys.router).await.is_problem(409, "name-taken");
    }
    make(&toys, "ship").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_gone_on_with_goes_aside_and_is_built_again() {
    let (broker, copy) = (broker(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for number in 0..20 {
        make(&toys, &format!("toy {number}")).await;
    }
    toys.relayed();
    toys.restart(kafka_is_away).unwrap();
    make(&toys, "unsent").await;
    synced_copy(&toys, copy.path());
    std::fs::write(copy.path().join("db"), vec![7; 1 << 20]).unwrap();
    fail_and_come_back_as(&toys, copy.path());
    Call::post("/toys", &json!({"name": "boat"})).send(&toys.router).await.is_problem(503, "store-fails");
    ends_saying(&mut toys, &["put aside as", "index.aside", "loses nothing"]);
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    for name in ["toy 7", "unsent"] {
        Call::post("/toys", &json!({"name": name})).send(&toys.router).await.is_problem(409, "name-taken");
    }
    make(&toys, "boat").await;
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_as_it_was_is_gone_on_with() {
    let (broker, copy) = (broker(), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, "bear").await;
    toys.relayed();
    synced_copy(&toys, copy.path());
    fail_and_come_back_as(&toys, copy.path());
    Call::post("/toys", &json!({"name": "boat"})).send(&toys.router).await.is_problem(503, "store-fails");
    make_once_it_is_well(&toys, "boat").await;
    toys.relayed();
}

#[test]
fn a_stop_that_meets_a_failing_disk_ends() {
    let dir = TempDir::new().unwrap();
    let opening = Opening {
        topic: "toys.events".to_owned(),
        cluster: String::new(),
        adopt_cluster: false,
        partitions: 1,
        cache_bytes_max: 1 << 20,
        new_id: uuid::Uuid::from_u128(1),
        now_ms: 0,
        progress: &StartProgress::default(),
    };
    let Begun { journal, index, dir: store_dir, .. } = Begun::make(dir.path(), &opening).unwrap();
    let Kept { store, journal, syncing } = Kept::new(index.unwrap(), journal, store_dir);
    let limits = Limits::default();
    let (sender, work) = sync_channel(2);
    let positions = Positions::new(vec![0], vec![0]);
    positions.set_acknowledged(&[Some(0)]);
    let committer = Committer::<Toys> {
        reader: journal.reader(),
        retiring: Retiring::new(&limits),
        clock: Clock::new(limits.idempotency_age_min),
        held_back: HeldBack::default(),
        index_failures: 0,
        behind: None,
        store: Arc::clone(&store),
        counters: vec![Counter::default()],
        positions: Arc::new(positions),
        health: Arc::default(),
        journal,
        syncing,
        followed: Arc::new(FollowedPositions::new(&[])),
        ambient: Arc::new(SystemAmbient),
        metrics: Arc::new(Metrics::default()),
        limits,
        work,
    };
    // It cannot be written, and not be opened again.
    store.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    std::fs::write(dir.path().join("index"), "in the way").unwrap();
    let (done, _done) = oneshot::channel();
    let writes = vec![(b"R".to_vec(), Some(b"row".to_vec()))];
    sender.send(Work::Follow { opening: 0, writes, done }).unwrap();
    sender.send(Work::Stop).unwrap();
    let committer = std::thread::spawn(move || committer.run());
    eventually("the committer to end", || committer.is_finished().then_some(()));
    committer.join().unwrap().unwrap();
}
