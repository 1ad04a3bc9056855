//! What comes back when a store that failed is opened afresh.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::integrity::make_once_it_is_well;
use super::toy::{Toys, router};
use crate::kernel::SystemAmbient;
use crate::kernel::committer::{Committer, Work};
use crate::kernel::durability::Durability;
use crate::kernel::followed::FollowedPositions;
use crate::kernel::idempotency::Forgetter;
use crate::kernel::keys;
use crate::kernel::metrics::Metrics;
use crate::kernel::positions::Positions;
use crate::kernel::rows::Counter;
use crate::kernel::settings::Limits;
use crate::kernel::store::Store;
use crate::testing::{
    Call, TestService, broker, eventually, fail_and_come_back_as, kafka_is_away, synced_copy,
};

async fn make(toys: &TestService<Toys>, name: &str) {
    Call::post("/toys", &json!({"name": name})).send(&toys.router).await.is(201);
}

/// Sends a command that meets the failure; then the process has to end.
#[track_caller]
fn ends_saying(toys: &mut TestService<Toys>, parts: &[&str]) -> String {
    let faults = toys.faults();
    eventually("the process to end by itself", || (*faults.borrow()).then_some(()));
    assert!(toys.service().not_ready().is_some());
    let ended = toys.ended().unwrap_err();
    assert_eq!(ended.exit_code(), 1);
    let ended = ended.to_string();
    assert!(parts.iter().all(|part| ended.contains(part)), "{parts:?} in {ended}");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_older_than_what_was_durable_ends_the_process_and_is_refused() {
    let (broker, copy) = (broker(), TempDir::new().unwrap());
    // So that nothing but the service itself knows what was acknowledged.
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    make(&toys, "bear").await;
    synced_copy(&toys, copy.path());
    let before = toys.service().positions.look().durable;
    make(&toys, "car").await;
    let durable = toys.service().positions.look().durable;
    let partition = (0..3).find(|partition| before[*partition] != durable[*partition]).unwrap();
    fail_and_come_back_as(&toys, copy.path());
    let refused = Call::post("/toys", &json!({"name": "boat"})).send(&toys.router).await;
    refused.is_problem(503, "store-fails");
    let positions = [
        format!("partition {partition} up to before position {}", before[partition]),
        format!("before position {} was on disk and acknowledged", durable[partition]),
    ];
    let said = ends_saying(&mut toys, &[&positions[0], &positions[1], "--recover"]);
    let refused = toys.restart(|_| {}).unwrap_err().to_string();
    assert!(refused.contains(&said), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_with_a_hole_ends_the_process() {
    let (broker, copy) = (broker(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for number in 0..20 {
        make(&toys, &format!("toy {number}")).await;
    }
    toys.relayed();
    synced_copy(&toys, copy.path());
    let damaged = Store::open(copy.path(), 1 << 20).unwrap();
    let (key, _) = damaged.last(&keys::outbox_span(0, 0, u64::MAX)).unwrap().unwrap();
    let position = keys::outbox_position(&key).unwrap();
    damaged.apply(vec![(key.to_vec(), None)]).unwrap();
    damaged.close().unwrap();
    fail_and_come_back_as(&toys, copy.path());
    Call::post("/toys", &json!({"name": "boat"})).send(&toys.router).await.is_problem(503, "store-fails");
    ends_saying(&mut toys, &[&format!("no event at position {position} of partition 0"), "--recover"]);
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
    let store = Arc::new(Store::open(&dir.path().join("store"), 1 << 20).unwrap());
    let limits = Limits::default();
    let (sender, work) = sync_channel(2);
    let committer = Committer::<Toys> {
        forgetter: Forgetter::open(&store, &limits).unwrap(),
        store: Arc::clone(&store),
        counters: vec![Counter::default()],
        positions: Arc::new(Positions::new(vec![0], vec![0])),
        durability: Arc::new(Durability::new()),
        followed: Arc::new(FollowedPositions::new(&[])),
        ambient: Arc::new(SystemAmbient),
        metrics: Arc::new(Metrics::new()),
        limits,
        work,
        attempt: None,
    };
    // It cannot be written, and not be opened again.
    store.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    std::fs::write(dir.path().join("store"), "in the way").unwrap();
    let (done, _done) = oneshot::channel();
    let writes = vec![(b"R".to_vec(), Some(b"row".to_vec()))];
    sender.send(Work::Follow { opening: 0, writes, done }).unwrap();
    sender.send(Work::Stop).unwrap();
    let committer = std::thread::spawn(move || committer.run());
    eventually("the committer to end", || committer.is_finished().then_some(()));
    committer.join().unwrap().unwrap();
}
