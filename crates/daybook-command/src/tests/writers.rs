//! One writer per partition: claims, instances, and what becomes of those who are shut out.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::testing::{
    Call, Log, PARTITIONS, TestService, broker, copy_dir, eventually, figure, kafka_is_away, settings,
    write_raw,
};
use crate::{AnswerAfter, RunError, Running, Settings, StartProgress, SystemAmbient};

/// Commands after which a claim must have been noticed.
const LATE_MAX: usize = 100;

async fn make(toys: &TestService<Toys>, names: &[&str]) {
    for name in names {
        Call::post("/toys", &json!({"name": name})).send(&toys.router).await.is(201);
    }
}

fn start(settings: &Settings) -> Result<Running<Toys>, RunError> {
    Running::<Toys>::start(settings, Arc::new(SystemAmbient), &StartProgress::default())
}

/// Settings of another instance, which knows nothing.
fn another(toys: &TestService<Toys>, dir: &TempDir) -> Settings {
    Settings { recover: true, ..settings(toys.settings.kafka.clone(), &dir.path().join("data")) }
}

#[track_caller]
fn refused(started: Result<Running<Toys>, RunError>) -> String {
    let error = started.err().expect("the service should have refused to start");
    assert_eq!(error.exit_code(), 1);
    error.to_string()
}

#[track_caller]
fn fenced(toys: TestService<Toys>) -> String {
    eventually("the first one to notice", || toys.service().positions.fenced());
    let ended = toys.end().unwrap_err();
    assert_eq!(ended.exit_code(), 1);
    ended.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_refused_and_harms_nobody() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let said = refused(start(&another(&toys, &dir)));
    for part in
        ["topic toys.events partition 0", "is written by instance", "on host", "--take-over", "--recover"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    make(&toys, &["bear", "car"]).await;
    toys.relayed();
    assert_eq!(toys.service().positions.fenced(), None);
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_claims_anew_and_its_events_carry_its_epoch() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, &["bear"]).await;
    toys.relayed();
    toys.restart(|_| {}).unwrap();
    make(&toys, &["car"]).await;
    toys.relayed();
    let log = Log::read(&broker.kafka(""), "toys.events");
    let epoch = |event: &serde_json::Value| event["writerepoch"].as_u64().unwrap();
    let mut epochs: Vec<_> = log.events().iter().map(epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2]);
    assert_eq!(log.claims(), vec![vec![1, 2]; PARTITIONS as usize]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_taken_over_stops_and_tells_what_is_not_in_the_log() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, &["bear"]).await;
    toys.relayed();
    // What it decides from here on stays under way. Only one event: another claim in its partition could be that event.
    toys.restart(kafka_is_away).unwrap();
    make(&toys, &["late"]).await;
    let (path, body) = ("/toys", json!({"name": "after"}));
    let other = start(&Settings { take_over: true, ..another(&toys, &dir) }).unwrap();
    eventually("the first one to notice", || toys.service().positions.fenced());
    let call = Call::post(path, &body).send(&toys.router).await;
    call.is_problem(503, "fenced");
    let said = fenced(toys);
    assert!(said.contains("1 event(s) of its outbox are not in the log: partition"), "{said}");
    assert!(said.contains("claimed topic toys.events partition"), "{said}");
    other.stop().unwrap();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 1);
}

/// The first one does not notice before it sends: its records land behind the claim.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_is_acknowledged_after_kafka_that_came_to_lie_behind_a_claim() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.answer_after = AnswerAfter::Kafka;
    });
    make(&toys, &["bear"]).await;
    let other = start(&Settings { take_over: true, ..another(&toys, &dir) }).unwrap();
    let mut acknowledged = 1;
    for number in 0..LATE_MAX {
        let made = Call::post("/toys", &json!({"name": format!("late {number}")})).send(&toys.router).await;
        if made.status == 503 {
            made.is_problem(503, "fenced");
            break;
        }
        acknowledged += 1;
    }
    assert_eq!(acknowledged, 1, "the very first one behind the claim was refused");
    fenced(toys);
    other.stop().unwrap();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_nothing_to_send_notices_as_well() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let other = start(&Settings { take_over: true, ..another(&toys, &dir) }).unwrap();
    let said = fenced(toys);
    assert!(said.contains("all events of its outbox are in the log"), "{said}");
    other.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_directory_shuts_the_original_out_if_it_has_all_and_is_refused_if_not() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, &["bear"]).await;
    toys.relayed();
    toys.stop();
    let (stale, same) = (dir.path().join("stale"), dir.path().join("same"));
    copy_dir(&toys.settings.data_dir, &stale);
    toys.restart(|_| {}).unwrap();
    make(&toys, &["car", "doll", "ball", "kite", "train"]).await;
    toys.relayed();
    toys.stop();
    copy_dir(&toys.settings.data_dir, &same);
    toys.restart(|_| {}).unwrap();
    let said = refused(start(&settings(broker.kafka(""), &stale)));
    assert!(said.contains("the store is older than the log"), "{said}");
    make(&toys, &["drum"]).await;
    toys.relayed();
    assert_eq!(toys.service().positions.fenced(), None, "what is refused claims nothing");
    toys.restart(|_| {}).unwrap();
    let copied = settings(broker.kafka(""), &toys.settings.data_dir.clone());
    let copy = dir.path().join("copy");
    copy_dir(&copied.data_dir, &copy);
    std::fs::remove_file(copy.join("LOCK")).unwrap();
    let other = start(&settings(broker.kafka(""), &copy)).unwrap();
    let said = fenced(toys);
    assert!(said.contains("a copy of this directory"), "{said}");
    other.stop().unwrap();
}

/// Several begin at the same time on a topic that nobody has claimed: one goes on, the others have sent no event.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_that_start_at_once_one_writes() {
    for _ in 0..5 {
        let (broker, dir) = (broker(), TempDir::new().unwrap());
        let settings = |number| settings(broker.kafka(""), &dir.path().join(format!("data-{number}")));
        let starting: Vec<_> = (0..3)
            .map(|number| {
                let settings = settings(number);
                std::thread::spawn(move || start(&settings))
            })
            .collect();
        let started: Vec<_> = starting.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(started.iter().flatten().count(), 1, "all began with the same epoch");
        for running in started {
            match running {
                Ok(running) => running.stop().unwrap(),
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.contains("is written by instance") || said.contains("fenced"), "{said}");
                }
            }
        }
    }
}

/// Before, among and behind what it sends; neither the watch nor an acknowledgement makes it claim the topic again.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_among_its_records_is_set_aside_and_it_relays_without_a_new_claim() {
    let broker = broker();
    let kafka = broker.kafka("");
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    let own = |number| format!("toy {number}");
    let noise: Vec<_> = (0..PARTITIONS).map(|partition| (partition, &b"hello"[..])).collect();
    for number in 0..30 {
        if number % 5 == 0 {
            write_raw(&kafka, "toys.events", &noise);
        }
        make(&toys, &[&own(number)]).await;
    }
    toys.relayed();
    let records = 6 * PARTITIONS as u64;
    eventually("all of it to be set aside", || (toys.service().set_aside_records() == records).then_some(()));
    let service = toys.service();
    assert_eq!((service.positions.trouble(), service.metrics.relay_failures.get()), (None, 0));
    let shown = service.own_set_aside();
    assert_eq!(shown.iter().map(|of| of.records).collect::<Vec<_>>(), [6; PARTITIONS as usize]);
    assert_eq!(figure(&toys.router, "set_aside_records").await, records);
    // The last thing there is nobody's event.
    write_raw(&kafka, "toys.events", &noise);
    let all = records + PARTITIONS as u64;
    eventually("the watch to notice it", || (toys.service().set_aside_records() == all).then_some(()));
    toys.stop();
    let log = Log::read(&kafka, "toys.events");
    assert_eq!(log.claims(), vec![vec![1]; PARTITIONS as usize], "one claim each");
    assert_eq!(log.partitions.iter().flatten().count(), 30);
}

/// Copies of its newest events that name an epoch in which nobody writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_its_own_event_with_another_epoch_fences_nobody() {
    let broker = broker();
    let kafka = broker.kafka("");
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    let names: Vec<_> = (0..60).map(|number| format!("toy {number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    make(&toys, &names[..30]).await;
    toys.relayed();
    let copies: Vec<_> = Log::read(&kafka, "toys.events")
        .partitions
        .iter()
        .map(|records| {
            let mut event: serde_json::Value = serde_json::from_slice(&records.last().unwrap().1).unwrap();
            assert_eq!(event["writerepoch"], 1);
            event["writerepoch"] = json!(6);
            event.to_string()
        })
        .collect();
    let copies: Vec<_> = (0..).zip(copies.iter().map(String::as_bytes)).collect();
    write_raw(&kafka, "toys.events", &copies);
    make(&toys, &names[30..]).await;
    toys.relayed();
    toys.stop();
    let log = Log::read(&kafka, "toys.events");
    assert_eq!((log.claims(), log.events().len()), (vec![vec![1]; PARTITIONS as usize], names.len()));
}
