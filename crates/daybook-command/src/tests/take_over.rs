//! `--recover` and what the old store had not sent.

use std::collections::BTreeMap;
use std::fs;

use daybook_event::envelope;
use daybook_journal::Event;
use daybook_kafka::embedded::EmbeddedBroker;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::recover::{assert_same, live, what_matters};
use super::start::make;
use super::toy::{Toys, router};
use crate::testing::{Call, Log, TestService, broker, copy_dir, journaled, kafka_is_away, write_raw};

/// Of a service that was started once.
const EPOCH: u32 = 1;

/// A service that has sent some of what it decided, and has stopped; and what its store says.
async fn half_sent(broker: &EmbeddedBroker) -> (TestService<Toys>, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    live(&toys).await;
    toys.relayed();
    toys.restart(kafka_is_away).unwrap();
    make(&toys, 30, "unsent").await;
    live(&toys).await;
    let lived_on = what_matters(&toys);
    toys.stop();
    toys.settings.kafka.options.clear();
    (toys, lived_on)
}

/// Events that Kafka does not have.
fn unsent(toys: &TestService<Toys>) -> Vec<Event> {
    let acknowledged = toys.service().positions.snapshot().acknowledged;
    let is_unsent = |event: &Event| event.position >= acknowledged[event.partition as usize];
    toys.journaled().into_iter().filter(is_unsent).collect()
}

/// Events of the journal that `--recover` has put aside.
fn put_aside(toys: &mut TestService<Toys>) -> Vec<Event> {
    toys.stop();
    let aside = toys.settings.data_dir.join("store.old-000001/journal");
    journaled(&daybook_journal::find(&aside).unwrap().into_reader())
}

#[tokio::test(flavor = "multi_thread")]
async fn unsent_events_are_taken_over_with_their_effects() {
    let broker = broker();
    let (mut toys, lived_on) = half_sent(&broker).await;
    let sent = Log::read(&broker.kafka(""), "toys.events").events().len();
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
    toys.relayed();
    let all = Log::read(&broker.kafka(""), "toys.events").events();
    assert!(all.len() > sent + 30, "{} of {sent}", all.len());
    let taken = Call::post("/toys", &json!({"name": "unsent 7"})).send(&toys.router).await;
    taken.is_problem(409, "name-taken");
    toys.restart(|settings| settings.recover = false).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
}

/// As a relay leaves it that was killed before it had noted what Kafka took, in the middle of a record.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_which_the_log_has_the_beginning_is_taken_over_from_there() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, kafka_is_away);
    let made = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    let path = format!("/toys/{}", made.text("toy_id"));
    Call::patch(&path, &json!({"coats": 5})).send(&toys.router).await.is(200);
    let lived_on = what_matters(&toys);
    let events = toys.journaled();
    toys.stop();
    let known = events[..3].iter().map(|event| envelope::as_sent(&event.value, EPOCH, None).unwrap());
    let known: Vec<_> = known.collect();
    let known: Vec<_> = known.iter().map(|value| (events[0].partition, &value[..])).collect();
    write_raw(&broker.kafka(""), "toys.events", &known);
    toys.settings.kafka.options.clear();
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
    let kept: Vec<_> = toys.journaled().iter().map(|event| event.position).collect();
    assert_eq!(kept, [3, 4, 5], "what the log had is not kept");
    toys.relayed();
    let log = Log::read(&broker.kafka(""), "toys.events");
    assert_eq!((log.events().len(), log.partitions.iter().flatten().count()), (6, 6), "nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_everything_is_taken_from_the_outbox() {
    let (first, second) = (broker(), broker());
    let (mut toys, lived_on) = half_sent(&first).await;
    toys.settings.kafka = second.kafka("");
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_same(&lived_on, &what_matters(&toys));
    toys.relayed();
    let (before, after) =
        (Log::read(&first.kafka(""), "toys.events"), Log::read(&second.kafka(""), "toys.events"));
    let ids = |log: &Log, partition: usize| -> Vec<Uuid> {
        let open = |(_, value): &(String, Vec<u8>)| envelope::open(Some(value), Vec::new).unwrap().id;
        log.partitions[partition].iter().map(open).collect()
    };
    for partition in 0..before.partitions.len() {
        let (before, after) = (ids(&before, partition), ids(&after, partition));
        assert!(after.len() > before.len() && after.starts_with(&before));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_behind_a_gap_is_left_in_the_old_store() {
    let (first, second) = (broker(), broker());
    let mut toys = TestService::<Toys>::start_with(first.kafka(""), router, |settings| {
        settings.limits.kept_events_max = 0;
        settings.limits.kept_bytes_max = 0;
    });
    make(&toys, 30, "sent").await;
    toys.relayed();
    toys.restart(kafka_is_away).unwrap();
    crate::testing::eventually("all events to go", || toys.journaled().is_empty().then_some(()));
    make(&toys, 30, "unsent").await;
    let unsent = unsent(&toys);
    toys.stop();
    toys.settings.kafka = second.kafka("");
    toys.restart(|settings| settings.recover = true).unwrap();
    assert_eq!(what_matters(&toys), BTreeMap::new());
    assert_eq!(Log::read(&second.kafka(""), "toys.events").events().len(), 0);
    let aside = put_aside(&mut toys);
    assert!(unsent.iter().all(|event| aside.contains(event)) && !unsent.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_whose_positions_others_have_are_left_in_the_old_store() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 20, "common").await;
    toys.relayed();
    toys.stop();
    let copy = TempDir::new().unwrap();
    copy_dir(&toys.settings.data_dir, copy.path());
    toys.restart(kafka_is_away).unwrap();
    make(&toys, 200, "unsent").await;
    let unsent = unsent(&toys);
    toys.stop();
    toys.settings.kafka.options.clear();
    let own_dir = toys.settings.data_dir.clone();
    toys.restart(|settings| settings.data_dir = copy.path().to_owned()).unwrap();
    make(&toys, 40, "others").await;
    toys.relayed();
    let others = what_matters(&toys);
    toys.restart(|settings| {
        settings.data_dir = own_dir;
        settings.recover = true;
    })
    .unwrap();
    assert_same(&others, &what_matters(&toys));
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 60);
    let aside = put_aside(&mut toys);
    assert!(unsent.iter().all(|event| aside.contains(event)) && !unsent.is_empty());
}

/// A process ended between putting the old store aside and the new one in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_replacement_is_undone() {
    let broker = broker();
    let (mut toys, lived_on) = half_sent(&broker).await;
    let dir = toys.settings.data_dir.clone();
    fs::create_dir(dir.join("store.old-000007")).unwrap();
    for recover in [false, true] {
        fs::rename(dir.join("store"), dir.join("store.old-000012")).unwrap();
        // Half a store, of no use any more.
        copy_dir(&dir.join("store.old-000012"), &dir.join("store.recovering"));
        toys.settings.recover = recover;
        toys.restart(kafka_is_away).unwrap();
        assert_same(&lived_on, &what_matters(&toys));
        toys.stop();
    }
    let old = ["store.old-000007", "store.old-000008"].map(|name| dir.join(name).exists());
    assert_eq!(old, [true, true], "the one put back was put aside again, as the last");
    toys.settings.kafka.options.clear();
    toys.restart(|settings| settings.recover = false).unwrap();
    toys.relayed();
    Log::read(&broker.kafka(""), "toys.events").events();
}
