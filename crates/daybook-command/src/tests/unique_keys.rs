//! Unique keys: who has one, and how they are made again of the states.

use std::fs;
use std::path::PathBuf;

use daybook_journal::{Group, Write};
use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::partition_for_key;
use daybook_store::Store;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::index::opened;
use super::toy::{Toy, ToyCommand, Toys, router};
use crate::store::Kept;
use crate::store::index::{Reach, apply, redo};
use crate::store::keys;
use crate::store::rows::{Owners, UniqueForm, Versioned};
use crate::testing::{Call, Log, PARTITIONS, Reply, TestService, broker, copy_dir, execute, flip, write_raw};
use crate::{Settings, UniqueKeys};

/// So many that they fill several pages of an index.
const TOYS: usize = 1_600;

async fn make(toys: &TestService<Toys>, name: &str) -> Reply {
    Call::post("/toys", &json!({"name": name})).send(&toys.router).await
}

async fn made(toys: &TestService<Toys>, name: &str) -> Uuid {
    make(toys, name).await.is(201).text("toy_id").parse().unwrap()
}

async fn lose(toys: &TestService<Toys>, id: Uuid) {
    Call::delete(format!("/toys/{id}")).send(&toys.router).await.is(204);
}

fn path(toys: &TestService<Toys>, name: &str) -> PathBuf {
    toys.settings.data_dir.join(name)
}

/// Changes the index of a service while it is stopped.
fn tamper(toys: &mut TestService<Toys>, change: impl FnOnce(&Store)) {
    toys.stop();
    let store = Store::open(&path(toys, "store/index"), 1 << 20).unwrap();
    change(&store);
    store.close().unwrap();
}

fn put(store: &Store, key: Vec<u8>, value: &[u8]) {
    store.apply(vec![(key, Some(value.to_vec()))]).unwrap();
}

fn remove(store: &Store, key: Vec<u8>) {
    store.apply(vec![(key, None)]).unwrap();
}

/// What the program before left: its marker, keys of its own, and no word of their form.
fn as_before(toys: &mut TestService<Toys>) {
    tamper(toys, |store| {
        remove(store, keys::unique_form());
        for (key, _) in store.scan(&keys::all_unique(), usize::MAX).unwrap() {
            remove(store, key.to_vec());
        }
        put(store, keys::unique("NAME:bear"), Uuid::from_u128(1).as_bytes());
    });
    let marker = path(toys, "daybook.json");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(marker, text.replace("\"layout\": 6", "\"layout\": 4")).unwrap();
}

fn layout(toys: &TestService<Toys>) -> String {
    let text = fs::read_to_string(path(toys, "daybook.json")).unwrap();
    text.lines().find(|line| line.contains("layout")).unwrap().trim().to_owned()
}

/// Gives a toy the name of another one, as a program may have done for which the two names were two.
fn rename(store: &Store, toy_id: Uuid, name: &str) {
    let row = store.get(&keys::aggregate(toy_id)).unwrap().unwrap();
    let Versioned::<Toy> { version, state } = Versioned::decode(&row).unwrap();
    let state = Toy { name: name.to_owned(), ..state };
    put(store, keys::aggregate(toy_id), &Versioned { version, state }.encode().unwrap());
}

/// The owners of all keys.
fn owners(toys: &TestService<Toys>) -> Vec<(String, Vec<u8>)> {
    let rows = toys.rows(b'U').into_iter();
    rows.map(|(key, value)| (String::from_utf8(key[1..].to_vec()).unwrap(), value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unique_keys_of_an_earlier_form_are_built_again_from_the_states() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for name in ["bear", "duck", "boat"] {
        made(&toys, name).await;
    }
    let lost = made(&toys, "lost").await;
    lose(&toys, lost).await;
    let lived_on = owners(&toys);
    assert_eq!(lived_on.len(), 3);
    as_before(&mut toys);
    toys.restart(|_| {}).unwrap();
    assert_eq!((owners(&toys), &*layout(&toys)), (lived_on.clone(), "\"layout\": 6,"));
    let other = UniqueForm { form: UniqueKeys::<Toys>::form() + 1, built_at: 1 };
    tamper(&mut toys, |store| {
        put(store, keys::unique_form(), &other.encode());
        put(store, keys::unique("name:kite"), Uuid::from_u128(1).as_bytes());
    });
    toys.restart(|_| {}).unwrap();
    assert_eq!(owners(&toys), lived_on);
    let form = UniqueForm::decode(&toys.rows(b'V')[0].1).unwrap();
    assert!(form.form == UniqueKeys::<Toys>::form() && form.built_at > 1, "{form:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_building_of_keys_that_was_interrupted_is_done_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for name in ["bear", "duck", "boat"] {
        made(&toys, name).await;
    }
    let lived_on = owners(&toys);
    // The marker is written first; then all that was goes, and half of what is to be comes.
    for half_done in
        [&["name:boat"][..], &["name:boat", "name:duck"], &["name:bear", "name:boat", "name:duck"]]
    {
        tamper(&mut toys, |store| {
            remove(store, keys::unique_form());
            half_done.iter().for_each(|key| remove(store, keys::unique(key)));
            put(store, keys::unique("NAME:bear"), Uuid::from_u128(1).as_bytes());
        });
        toys.restart(|_| {}).unwrap();
        assert_eq!(owners(&toys), lived_on, "without {half_done:?}");
    }
}

/// The journal has what an earlier program wrote, keys as well, for as long as it has not noted that the index has it.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_an_earlier_program_bring_none_of_its_keys_however_often_they_are_done_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for name in ["bear", "duck"] {
        made(&toys, name).await;
    }
    let lived_on = owners(&toys);
    as_before(&mut toys);
    let old = Write { key: keys::unique("NAME:boat"), value: Some(vec![1; 16]) };
    toys.append(Group { writes: vec![old], ..Group::default() });
    assert_eq!(owners(&toys), lived_on);
    // As a process leaves it that is killed as soon as all is built.
    let killed = TempDir::new().unwrap();
    copy_dir(&toys.settings.data_dir, killed.path());
    toys.restart(|settings| settings.data_dir = killed.path().to_owned()).unwrap();
    assert_eq!(owners(&toys), lived_on);
    made(&toys, "boat").await;
    toys.stop();
}

/// An older program would take half of today's keys for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_touched_before_an_older_program_is_kept_out() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for name in ["bear", "duck"] {
        made(&toys, name).await;
    }
    toys.relayed();
    let lived_on = owners(&toys);
    as_before(&mut toys);
    broker.refuse_writes(PARTITIONS as usize).unwrap();
    toys.restart(|_| {}).unwrap_err();
    assert_eq!(layout(&toys), "\"layout\": 6,");
    tamper(&mut toys, |store| {
        let keys = store.scan(&keys::all_unique(), usize::MAX).unwrap();
        assert_eq!(keys.iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>(), [keys::unique("NAME:bear")]);
    });
    toys.restart(|_| {}).unwrap();
    assert_eq!(owners(&toys), lived_on);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_costs_its_own_key_and_no_log_when_keys_are_built_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let bear = made(&toys, "bear").await;
    made(&toys, "duck").await;
    let lived_on = owners(&toys);
    as_before(&mut toys);
    tamper(&mut toys, |store| put(store, keys::aggregate(bear), b"rubbish"));
    // The index cannot be built again.
    let in_the_way = path(&toys, "store/index.building");
    fs::write(&in_the_way, "in the way").unwrap();
    toys.restart(|_| {}).unwrap();
    assert_eq!(owners(&toys), lived_on[1..]);
    make(&toys, "duck").await.is_problem(409, "name-taken");
    Call::get(format!("/toys/{bear}")).send(&toys.router).await.is_problem(503, "store-fails");
    toys.stop();
    fs::remove_file(in_the_way).unwrap();
    let index = path(&toys, "store/index");
    fs::rename(&index, index.with_extension("away")).unwrap();
    toys.restart(|_| {}).unwrap();
    assert_eq!(owners(&toys), lived_on, "what was damaged is built again from the log");
}

/// What could not be brought to today's form is left to the program before: this one would need a log that is not all there.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_brought_to_todays_form_is_left_to_the_program_before() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let mut ids = Vec::new();
    for number in 0..TOYS {
        ids.push(made(&toys, &format!("toy {number:0200}")).await);
    }
    toys.relayed();
    as_before(&mut toys);
    flip(&path(&toys, "store/index"), ids[TOYS / 8].to_string().as_bytes());
    broker.set_leader("toys.events", 0, None).unwrap();
    let said = toys.restart(|_| {}).unwrap_err().to_string();
    assert!(said.contains("partition 0 has no leader"), "{said}");
    assert_eq!(layout(&toys), "\"layout\": 4,");
    broker.set_leader("toys.events", 0, Some(1)).unwrap();
    toys.restart(|_| {}).unwrap();
    assert_eq!((owners(&toys).len(), &*layout(&toys)), (TOYS, "\"layout\": 6,"));
}

/// Two toys whose names are one, by the form of today. Returns their ids, the earlier one first.
async fn twins(broker: &EmbeddedBroker) -> (TestService<Toys>, [Uuid; 2]) {
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let ids = [made(&toys, "bear").await, made(&toys, "duck").await];
    assert!(ids[0] < ids[1]);
    as_before(&mut toys);
    tamper(&mut toys, |store| rename(store, ids[1], "bear"));
    toys.restart(|_| {}).unwrap();
    (toys, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_one_key_both_stay_and_nobody_else_gets_it_before_both_gave_it_up() {
    for gone_first in [0, 1] {
        let broker = broker();
        let (mut toys, ids) = twins(&broker).await;
        let both = [ids[0].as_bytes().to_vec(), ids[1].as_bytes().to_vec()].concat();
        assert_eq!(owners(&toys), [("name:bear".to_owned(), both)]);
        make(&toys, "duck").await.is(201);
        for id in ids {
            // A change that does not touch the name is none of the key.
            let painted = Call::patch(format!("/toys/{id}"), &json!({"coats": 1})).send(&toys.router).await;
            assert_eq!(painted.is(200).text("name"), "bear");
        }
        make(&toys, "bear").await.is_problem(409, "name-taken");
        lose(&toys, ids[gone_first]).await;
        make(&toys, "bear").await.is_problem(409, "name-taken");
        toys.restart(|_| {}).unwrap();
        make(&toys, "bear").await.is_problem(409, "name-taken");
        lose(&toys, ids[1 - gone_first]).await;
        make(&toys, "bear").await.is(201);
        make(&toys, "bear").await.is_problem(409, "name-taken");
    }
}

/// Such as those of two instances of which each had the log for itself: nobody has compared them.
#[tokio::test(flavor = "multi_thread")]
async fn twins_of_the_log_are_the_same_however_the_store_came_about() {
    let partition = |id: &Uuid| partition_for_key(id.to_string().as_bytes(), PARTITIONS);
    let first = Uuid::from_u128(1);
    let second = (2..).map(Uuid::from_u128).find(|id| partition(id) != partition(&first)).unwrap();
    let both = broker();
    for id in [second, first] {
        let broker = broker();
        let toys = TestService::<Toys>::start(broker.kafka(""), router);
        execute(toys.service(), id, ToyCommand::Make(id, "bear".to_owned())).await;
        toys.relayed();
        let log = Log::read(&broker.kafka(""), "toys.events");
        let (_, event) = &log.partitions[partition(&id) as usize][0];
        write_raw(&both.kafka(""), "toys.events", &[(partition(&id), event)]);
    }
    let recover = |settings: &mut Settings| settings.recover = true;
    let mut toys = TestService::<Toys>::start_with(both.kafka(""), router, recover);
    let ids = [first, second];
    lose(&toys, ids[0]).await;
    make(&toys, "bear").await.is_problem(409, "name-taken");
    let lived_on = owners(&toys);
    toys.restart(|_| {}).unwrap();
    assert_eq!(owners(&toys), lived_on);
    lose(&toys, ids[1]).await;
    make(&toys, "bear").await.is(201);
}

#[test]
fn what_is_done_again_brings_no_key_of_an_earlier_form_back() {
    let dir = TempDir::new().unwrap();
    let Kept { store, mut journal, .. } = opened(&dir);
    let mut append = |key: Vec<u8>, value: Option<&[u8]>| {
        let state = Write { key: b"Akey".to_vec(), value: Some(vec![1]) };
        let unique = Write { key, value: value.map(<[u8]>::to_vec) };
        journal.append(Group { writes: vec![state, unique], ..Group::default() }, 0).unwrap()
    };
    let (old, new) = (keys::unique("old"), keys::unique("new"));
    append(old.clone(), Some(&[1; 16]));
    let built_at = append(new.clone(), None);
    let later = append(keys::unique("later"), Some(&[2; 16]));
    put(&store, new.clone(), &[3; 16]);
    put(&store, keys::unique_form(), &UniqueForm { form: 1, built_at }.encode());
    apply(&store, later, journal.id(), Vec::new()).unwrap();
    assert_eq!(redo(&store, &journal.reader(), Reach { last: later, synced: 0 }).unwrap(), 3);
    let has = |key: &[u8]| store.get(key).unwrap().map(|value| value.to_vec());
    assert_eq!(has(b"Akey"), Some(vec![1]));
    assert_eq!((has(&old), has(&new)), (None, Some(vec![3; 16])));
    assert_eq!(has(&keys::unique("later")), Some(vec![2; 16]));
}

#[test]
fn owners_are_in_order_and_no_more_than_a_row_takes() {
    let id = Uuid::from_u128;
    let mut owners = Owners::default();
    assert_eq!(owners.encode(), None);
    for owner in [7, 3, 5, 3] {
        owners.add(id(owner));
    }
    assert_eq!(owners.first(), Some(id(3)));
    assert_eq!(Owners::decode(&owners.encode().unwrap()), Ok(owners.clone()));
    assert!(owners.is_of_others(id(3)));
    for owner in [3, 5, 9] {
        owners.remove(id(owner));
    }
    assert!(!owners.is_of_others(id(7)) && owners.is_of_others(id(8)));
    owners.remove(id(7));
    assert_eq!(owners.encode(), None);

    for owner in (1..=600).rev() {
        owners.add(id(owner));
    }
    let row = owners.encode().unwrap();
    assert_eq!((row.len(), owners.first()), (500 * 16 + 1, Some(id(1))));
    assert_eq!(Owners::decode(&row), Ok(owners.clone()));
    // Who else has it is not known any more, so nobody gets it.
    (1..=600).for_each(|owner| owners.remove(id(owner)));
    assert!(owners.is_of_others(id(1)));
    assert_eq!(Owners::decode(&owners.encode().unwrap()), Ok(owners));

    for damaged in [&[][..], &[2], &[1; 15], &[1; 18], &[0; 17], &[1; 501 * 16]] {
        assert!(Owners::decode(damaged).is_err(), "{damaged:?}");
    }
}
