//! A partition that nobody answers for: all others go on, running and starting.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::partition_for_key;
use serde_json::json;
use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::testing::{
    Call, Log, PARTITIONS, TestService, broker, brokers, copy_dir, eventually, figure, keeps_moving, settings,
};
use crate::{RunError, Running, Settings, StartProgress, SystemAmbient};

const TOPIC: &str = "toys.events";

fn partition_of(id: &str) -> usize {
    partition_for_key(id.as_bytes(), PARTITIONS) as usize
}

/// Makes toys until every partition has some; paths by partition.
async fn make(toys: &TestService<Toys>, label: &str) -> [String; PARTITIONS as usize] {
    let mut paths = [const { String::new() }; PARTITIONS as usize];
    for number in 0..30 {
        let name = format!("{label} {number}");
        let made = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
        let id = made.is(201).text("toy_id");
        paths[partition_of(&id)] = format!("/toys/{id}");
    }
    paths
}

fn paint(path: &str) -> Call {
    Call::patch(path, &json!({"coats": 1}))
}

/// Only while no client knows another leader; see `EmbeddedBroker::set_leader`.
fn leader(broker: &EmbeddedBroker, partition: i32, leader: Option<i32>) {
    broker.set_leader(TOPIC, partition, leader).unwrap();
}

async fn trouble(toys: &TestService<Toys>) -> String {
    let ready = Call::get("/health/ready").send(&toys.router).await.is(200).json();
    ready["relay"]["trouble"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn refused(started: Result<(), RunError>) -> (String, bool) {
    let error = started.expect_err("the service should not have started");
    (error.to_string(), error.may_pass())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_leader_is_away_stops_no_other() {
    let broker = brokers(2);
    for (partition, by) in [(0, 2), (1, 1), (2, 1)] {
        leader(&broker, partition, Some(by));
    }
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.drain_timeout = Duration::ZERO;
    });
    broker.broker_down(2).unwrap();
    for round in 0..10 {
        make(&toys, &format!("round {round}")).await;
    }
    let positions = &toys.service().positions;
    let waits = |partition: usize| {
        let snapshot = positions.snapshot();
        snapshot.durable[partition] - snapshot.acknowledged[partition]
    };
    // More than may be under way of one partition, and of all.
    assert!(waits(0) > 64, "{}", waits(0));
    keeps_moving("the others", || waits(1) + waits(2), |waits| *waits == 0);
    eventually("the partition to be named", || {
        positions.trouble().filter(|said| said.contains("partition 0"))
    });
    assert!(trouble(&toys).await.contains("partition 0"));
    broker.broker_up(2).unwrap();
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), TOPIC).events().len(), 300);
    eventually("the trouble to be over", || positions.trouble().is_none().then_some(()));
    assert_eq!(toys.service().metrics.relay_failures.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_without_a_partition_that_has_no_leader() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let paths = make(&toys, "toy").await;
    toys.stop();
    leader(&broker, 0, None);
    toys.restart(|_| {}).unwrap();
    for path in &paths[1..] {
        paint(path).send(&toys.router).await.is(200);
    }
    let away = paint(&paths[0]).send(&toys.router).await;
    assert!(!away.is_problem(503, "partition-away").text("detail").contains(TOPIC), "{away:?}");
    let ready = Call::get("/health/ready").send(&toys.router).await.is(200).json();
    let refused = ready["commands"]["refused"].as_str().unwrap().to_owned();
    assert!(refused.contains("partition 0 has no leader"), "{refused}");
    let shut = "shut_partitions{reason=\"partition-away\"}";
    assert_eq!((figure(&toys.router, "ready").await, figure(&toys.router, shut).await), (1, 1));
    Call::get(&paths[0]).send(&toys.router).await.is(200);
    let positions = &toys.service().positions;
    let waits = || {
        let snapshot = positions.snapshot();
        [1, 2].map(|partition| snapshot.durable[partition] - snapshot.acknowledged[partition])
    };
    keeps_moving("the others", waits, |waits| *waits == [0, 0]);
    assert!(trouble(&toys).await.contains("partition 0 has no leader"));
    leader(&broker, 0, Some(1));
    eventually("the partition to be claimed", || positions.shut(u64::MAX).why(0).is_none().then_some(()));
    paint(&paths[0]).send(&toys.router).await.is(200);
    assert_eq!(figure(&toys.router, shut).await, 0);
    toys.relayed();
    let log = Log::read(&broker.kafka(""), TOPIC);
    assert_eq!(log.events().len(), 33);
    assert_eq!(log.claims()[0], [1, 3], "the second writer did without it");
    assert_eq!(log.claims()[1], [1, 2, 3]);
    assert_eq!(toys.service().metrics.relay_failures.get(), 0, "nothing has failed");
}

/// What came to be known of a partition stays true while it is away: its commands wait in the journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_compared_once_takes_commands_while_it_is_away() {
    let broker = brokers(2);
    for (partition, by) in [(0, 2), (1, 1), (2, 1)] {
        leader(&broker, partition, Some(by));
    }
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let paths = make(&toys, "toy").await;
    toys.relayed();
    broker.broker_down(2).unwrap();
    let positions = &toys.service().positions;
    positions.distrust_log(1, "an election".to_owned());
    eventually("the relay to go on without it", || {
        let snapshot = positions.snapshot();
        snapshot.resting.contains_key(&0).then_some(())
    });
    for path in &paths {
        paint(path).send(&toys.router).await.is(200);
    }
    // It has nothing to wait for.
    toys.stop();
    broker.broker_up(2).unwrap();
    toys.restart(|_| {}).unwrap();
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), TOPIC).events().len(), 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_needs_the_whole_log_waits_for_it_by_name() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, "toy").await;
    toys.stop();
    leader(&broker, 2, None);
    let index = toys.settings.data_dir.join("store/index");
    fs::rename(&index, index.with_extension("away")).unwrap();
    for recover in [false, true] {
        let (said, may_pass) = refused(toys.restart(|settings| settings.recover = recover));
        assert!(may_pass && said.contains("partition 2 has no leader"), "{said}");
        assert!(said.contains("needs all partitions"), "{said}");
    }
    leader(&broker, 2, Some(1));
    toys.restart(|settings| settings.recover = false).unwrap();
    assert_eq!(toys.rows(b'A').len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_refused_also_where_one_partition_has_no_leader() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, "toy").await;
    toys.stop();
    leader(&broker, 0, None);
    let dir = TempDir::new().unwrap();
    let start = |settings: &Settings| {
        Running::<Toys>::start(settings, Arc::new(SystemAmbient), &StartProgress::default())?.stop()
    };
    let another = Settings { recover: true, ..settings(broker.kafka(""), dir.path()) };
    let (said, may_pass) = refused(start(&another));
    assert!(!may_pass && said.contains("partition 1 is written by instance"), "{said}");
    let (said, may_pass) = refused(start(&Settings { take_over: true, ..another }));
    assert!(may_pass && said.contains("partition 0 has no leader"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_sees_no_partition_at_all_waits_for_one_and_claims_nothing() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, "toy").await;
    toys.stop();
    let epoch = toys.settings.data_dir.join("writer.json");
    let before = fs::read_to_string(&epoch).unwrap();
    (0..PARTITIONS).for_each(|partition| leader(&broker, partition, None));
    let (said, may_pass) = refused(toys.restart(|_| {}));
    assert!(may_pass && said.contains("partition 0 has no leader"), "{said}");
    assert_eq!(fs::read_to_string(&epoch).unwrap(), before);
    (0..PARTITIONS).for_each(|partition| leader(&broker, partition, Some(1)));
    toys.restart(|_| {}).unwrap();
}

/// What was not compared may have whose key it is, and what became of an aggregate: nobody takes a key, and no answer is kept
/// that may rest on that.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_partition_is_not_compared_no_unique_key_is_taken_and_no_refusal_is_kept() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let paths = make(&toys, "toy").await;
    toys.stop();
    leader(&broker, 0, None);
    toys.restart(|_| {}).unwrap();
    for name in ["new", "toy 3"] {
        for _ in 0..10 {
            let refused = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
            refused.is_problem(503, "partition-away");
        }
    }
    let said = toys.service().refuses().unwrap();
    assert!(said.contains("partition 0") && said.contains("no command takes a unique key"), "{said}");
    let nobody = format!("/toys/{}", toys.service().ambient.new_id());
    let (lose_nobody, unchanged) = (Call::delete(nobody), Call::patch(&paths[1], &json!({"coats": 0})));
    for answered in [(&lose_nobody, 404), (&unchanged, 200)] {
        answered.0.clone().send(&toys.router).await.is(answered.1);
        let keyed = answered.0.clone().header("idempotency-key", &format!("key-{}", answered.1));
        keyed.send(&toys.router).await.is_problem(503, "partition-away");
    }
    // It gives a key up, and takes none.
    Call::delete(&paths[1]).header("idempotency-key", "gone").send(&toys.router).await.is(204);
    assert_eq!(toys.service().journal.keys(), 1);
    leader(&broker, 0, Some(1));
    let positions = &toys.service().positions;
    eventually("the partition to be claimed", || positions.shut(u64::MAX).unknown().is_none().then_some(()));
    Call::post("/toys", &json!({"name": "new"})).send(&toys.router).await.is(201);
    Call::post("/toys", &json!({"name": "new"})).send(&toys.router).await.is_problem(409, "name-taken");
    lose_nobody.header("idempotency-key", "key-404").send(&toys.router).await.is_problem(404, "toy-unknown");
    assert_eq!(toys.service().journal.keys(), 2);
}

/// It cannot see what was decided since, and nothing of it may be decided again.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_decides_nothing_in_a_partition_that_it_could_not_compare() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let paths = make(&toys, "toy").await;
    toys.stop();
    let (old, older) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let own_dir = toys.settings.data_dir.clone();
    copy_dir(&own_dir, older.path());
    toys.restart(|_| {}).unwrap();
    toys.relayed();
    toys.stop();
    copy_dir(&own_dir, old.path());
    toys.restart(|_| {}).unwrap();
    paint(&paths[0]).send(&toys.router).await.is(200);
    toys.relayed();
    toys.stop();
    leader(&broker, 0, None);
    let (said, may_pass) = refused(toys.restart(|settings| settings.data_dir = older.path().to_owned()));
    assert!(may_pass && said.contains("no other process has claimed the topic since"), "{said}");
    // As if it had been copied after the last claim: nothing that can be read says that it is old.
    let newest = own_dir.join("writer.json");
    fs::copy(newest, old.path().join("writer.json")).unwrap();
    toys.restart(|settings| settings.data_dir = old.path().to_owned()).unwrap();
    paint(&paths[1]).send(&toys.router).await.is(200);
    paint(&paths[0]).send(&toys.router).await.is_problem(503, "partition-away");
    leader(&broker, 0, Some(1));
    let positions = &toys.service().positions;
    eventually("the comparison to tell", || {
        positions.trouble().filter(|said| said.contains("the store is older than the log"))
    });
    paint(&paths[0]).send(&toys.router).await.is_problem(503, "partition-away");
    let refused = toys.service().refuses().unwrap();
    assert!(refused.contains("the store is older than the log"), "{refused}");
    // It is one partition that does not fit: the others go on, but for what would have to know of it.
    for path in &paths[1..] {
        paint(path).send(&toys.router).await.is(200);
    }
    Call::post("/toys", &json!({"name": "new"})).send(&toys.router).await.is_problem(503, "partition-away");
    toys.relayed();
    assert!(positions.trouble().unwrap().contains("the store is older than the log"));
    toys.stop();
    let log = Log::read(&broker.kafka(""), TOPIC);
    assert_eq!(log.events().len(), 30 + 1 + 3);
    assert_eq!(log.claims(), [vec![1, 2, 3], vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]]);
}

/// Each of the two has claimed, with one epoch, what the other one did not see.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_used_the_same_epoch_where_this_one_saw_nothing_is_told_from_it() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let paths = make(&toys, "toy").await;
    toys.relayed();
    toys.stop();
    copy_dir(&toys.settings.data_dir, dir.path());
    [1, 2].into_iter().for_each(|partition| leader(&broker, partition, None));
    toys.restart(|_| {}).unwrap();
    paint(&paths[0]).send(&toys.router).await.is(200);
    let positions = &toys.service().positions;
    eventually("it to be sent", || {
        let snapshot = positions.snapshot();
        (snapshot.acknowledged[0] == snapshot.durable[0]).then_some(())
    });
    toys.stop();
    [(0, None), (1, Some(1)), (2, Some(1))].into_iter().for_each(|(at, by)| leader(&broker, at, by));
    toys.restart(|settings| settings.data_dir = dir.path().to_owned()).unwrap();
    leader(&broker, 0, Some(1));
    let by = eventually("the other one to be noticed", || toys.service().positions.fenced());
    assert!(by.copy && by.partition == 0, "{by}");
    let ended = toys.ended().unwrap_err();
    assert!(ended.to_string().contains("a copy of this directory"), "{ended}");
    assert_eq!(Log::read(&broker.kafka(""), TOPIC).claims(), [[1, 2]; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_refused_loses_its_partition_and_no_other() {
    let broker = broker();
    broker.refuse_writes(1).unwrap();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let positions = &toys.service().positions;
    eventually("it to be named", || {
        toys.service().refuses().filter(|refused| refused.contains("partition 0 refuses writes"))
    });
    eventually("it to be claimed", || positions.shut(u64::MAX).unknown().is_none().then_some(()));
    assert_eq!(Log::read(&broker.kafka(""), TOPIC).claims(), [vec![2], vec![1, 2], vec![1, 2]]);
    make(&toys, "toy").await;
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), TOPIC).events().len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_claims_nobody_takes_is_tried_again_by_name() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, "toy").await;
    toys.relayed();
    toys.stop();
    broker.refuse_writes(PARTITIONS as usize).unwrap();
    let (said, may_pass) = refused(toys.restart(|_| {}));
    assert!(may_pass && said.contains("no partition has taken the claim"), "{said}");
    assert!(said.contains("partition 0 refuses writes"), "{said}");
    toys.restart(|_| {}).unwrap();
}

/// Half-dead: it takes every question, and answers none in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_claim_waits_for_kafka_ends_and_blames_nobody() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.drain_timeout = Duration::from_secs(600);
    });
    make(&toys, "toy").await;
    toys.relayed();
    broker.round_trip(1, Duration::from_secs(600)).unwrap();
    toys.service().positions.distrust_log(0, "an election".to_owned());
    eventually("the relay to ask Kafka", || {
        toys.service().positions.snapshot().failed.is_none().then_some(())
    });
    assert!(toys.ended().is_ok());
}
