//! What a start makes of an index whose rows do not add up, or cannot all be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use daybook_journal::{Group, Write};
use daybook_kafka::partition_for_key;
use daybook_store::{Noted, Store, Unreadable};
use serde_json::json;
use tempfile::TempDir;

use super::index::{opened, opening};
use super::toy::{Toys, router};
use crate::run::StartProgress;
use crate::store::index;
use crate::store::{self, Kept};
use crate::testing::{Call, PARTITIONS, TestService, add_behind, broker, flip, settle};

const TOPIC: &str = "toys.events";
const TOYS: usize = 60;

async fn made(toys: &TestService<Toys>, number: usize) -> String {
    let made = Call::post("/toys", &json!({"name": format!("toy {number:0200}")})).send(&toys.router).await;
    made.is(201).text("toy_id")
}

async fn status(toys: &TestService<Toys>, id: &str) -> u16 {
    Call::get(format!("/toys/{id}")).send(&toys.router).await.status.as_u16()
}

fn path(toys: &TestService<Toys>, name: &str) -> PathBuf {
    toys.settings.data_dir.join(name)
}

/// Writes or removes a row of a closed index, past its digest.
fn change(index: &Path, key: &[u8], value: Option<&[u8]>) {
    let store = Store::open_as_it_is(index, 1 << 20).unwrap();
    store.apply(vec![(key.to_vec(), value.map(<[u8]>::to_vec))]).unwrap();
    store.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_the_layout_before_gets_a_digest_and_one_that_has_lost_it_is_built_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let id = made(&toys, 0).await;
    toys.relayed();
    toys.stop();
    let (index, aside, marker) =
        (path(&toys, "store/index"), path(&toys, "store/index.aside"), path(&toys, "daybook.json"));
    change(&index, b"D", None);
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("\"layout\": 6", "\"layout\": 5")).unwrap();
    toys.restart(|_| {}).unwrap();
    toys.stop();
    assert!(!aside.exists());
    assert_eq!(fs::read_to_string(&marker).unwrap(), text);
    let checks = (Noted::MustBe, Unreadable::IsDamage);
    Store::open_reporting(&index, 1 << 20, checks, &|_| {}).unwrap().close().unwrap();
    change(&index, b"D", None);
    // Of what cannot be built again it is not known that all is there.
    broker.set_leader(TOPIC, 0, None).unwrap();
    let refused = toys.restart(|_| {}).unwrap_err().to_string();
    assert!(refused.contains("has lost the digest of its rows"), "{refused}");
    broker.set_leader(TOPIC, 0, Some(1)).unwrap();
    toys.restart(|_| {}).unwrap();
    assert!(aside.exists());
    assert_eq!(status(&toys, &id).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_costs_its_own_rows_where_the_index_cannot_be_built_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let mut ids = Vec::new();
    for number in 0..TOYS {
        ids.push(made(&toys, number).await);
    }
    toys.relayed();
    toys.stop();
    let (index, aside) = (path(&toys, "store/index"), path(&toys, "store/index.aside"));
    // An opening reads where sled has moved a page lately: so other rows come behind it.
    add_behind(&index);
    settle(&index);
    // In its state; keys may stand in pages that lead to others.
    flip(&index, format!("\"name\":\"toy {:0200}", TOYS / 2).as_bytes());
    broker.set_leader(TOPIC, 0, None).unwrap();
    toys.restart(|_| {}).unwrap();
    assert!(!aside.exists());
    let mut found = Vec::new();
    for id in &ids {
        found.push(status(&toys, id).await);
    }
    assert!(found.contains(&200) && found.contains(&503), "{found:?}");
    assert!(found.iter().all(|status| [200, 503].contains(status)), "{found:?}");
    // However often: what is there is all there is, and others go on.
    let paint = |id: &str| Call::patch(format!("/toys/{id}"), &json!({"coats": 1}));
    let of = |wanted: u16| {
        let is_here = |id: &&String| partition_for_key(id.as_bytes(), PARTITIONS) != 0;
        ids.iter().zip(&found).filter(move |(_, found)| **found == wanted).map(|(id, _)| id).find(is_here)
    };
    let (lost, kept) = (of(503).unwrap(), of(200).unwrap());
    for _ in 0..4 {
        paint(lost).send(&toys.router).await.is_problem(503, "store-fails");
        paint(kept).send(&toys.router).await.is(200);
    }
    assert!(!aside.exists());
    toys.stop();
    broker.set_leader(TOPIC, 0, Some(1)).unwrap();
    toys.restart(|_| {}).unwrap();
    assert!(aside.exists());
    for id in &ids {
        assert_eq!(status(&toys, id).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_add_up_are_not_gone_on_with_and_the_start_says_why_it_waits() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let id = made(&toys, 0).await;
    toys.relayed();
    toys.stop();
    let (index, aside) = (path(&toys, "store/index"), path(&toys, "store/index.aside"));
    change(&index, b"Uname:other", Some(&[7; 16]));
    broker.set_leader(TOPIC, 0, None).unwrap();
    let refused = toys.restart(|_| {}).unwrap_err();
    let said = refused.to_string();
    assert!(refused.may_pass(), "{said}");
    for part in ["partition 0 has no leader", "index is unusable", "do not add up"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!aside.exists());
    broker.set_leader(TOPIC, 0, Some(1)).unwrap();
    toys.restart(|_| {}).unwrap();
    assert!(aside.exists());
    assert_eq!(status(&toys, &id).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_on_a_disk_that_takes_nothing_waits_for_it() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let id = made(&toys, 0).await;
    toys.relayed();
    toys.stop();
    let index = path(&toys, "store/index");
    change(&index, b"Uname:other", Some(&[7; 16]));
    // Whether the disk takes writes is tried in a file of this name; trying removes it.
    symlink("/dev/full", path(&toys, "store/trial")).unwrap();
    let refused = toys.restart(|_| {}).unwrap_err();
    assert!(refused.may_pass(), "{refused}");
    assert!(refused.to_string().contains("the disk takes no writes"), "{refused}");
    toys.restart(|_| {}).unwrap();
    assert_eq!(status(&toys, &id).await, 200);
}

/// The committer may be opening it afresh, which takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_comes_while_the_store_fails_is_refused_at_once() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    toys.service().health.failed("as a test says".to_owned());
    let refused = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    refused.is_problem(503, "store-fails");
    toys.service().health.recovered();
    made(&toys, 0).await;
}

/// A process that is killed right behind the marker of today's layout leaves an index that is whole.
#[test]
fn the_digest_is_there_before_the_directory_is_of_todays_layout() {
    let dir = TempDir::new().unwrap();
    let Kept { store, mut journal, .. } = opened(&dir);
    let row = (b"Akey".to_vec(), Some(vec![1]));
    let writes = vec![Write { key: row.0.clone(), value: row.1.clone() }];
    let number = journal.append(Group { writes, ..Group::default() }, 0).unwrap();
    index::apply(&store, number, journal.id(), vec![row]).unwrap();
    store.close().unwrap();
    drop(journal);
    change(&dir.path().join("index"), b"D", None);
    let starting = StartProgress::default();
    let find = |of_today| store::find_store(dir.path(), &opening("", &starting), of_today).unwrap().unwrap();
    find(false).note_digest().unwrap();
    assert_eq!(find(true).lacks_index(), None);
    change(&dir.path().join("index"), b"D", None);
    assert_eq!(find(true).lacks_index(), Some("the store has lost the digest of its rows"));
}
