//! The service's own directory: what is refused, and that nothing is written then.

use std::fs;

use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::kernel::keys;
use crate::kernel::store::Store;
use crate::kernel::{DirectoryError, RunError, Running, StartError};
use crate::testing::{Call, TestService, broker, settings};

fn refusal(started: Result<Running<Toys>, RunError>) -> (u8, String) {
    match started {
        Err(error) => (error.exit_code(), error.to_string()),
        Ok(_) => panic!("the service should not have started"),
    }
}

fn start(settings: &crate::kernel::Settings) -> Result<Running<Toys>, RunError> {
    Running::start(settings, std::sync::Arc::new(crate::kernel::SystemAmbient))
}

#[test]
fn a_directory_in_use_is_refused_with_its_holder() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let (code, sentence) = refusal(start(&toys.settings));
    assert_eq!(code, 3);
    assert!(sentence.contains(&format!("toys, pid {}", std::process::id())), "{sentence}");
}

#[test]
fn a_foreign_file_is_named_and_nothing_is_written() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
    let (code, sentence) = refusal(start(&settings(broker.kafka(""), dir.path())));
    assert!(code == 1 && sentence.contains("holiday.jpg") && sentence.contains("--data-dir"), "{sentence}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_store_without_a_marker_is_foreign() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    fs::create_dir(dir.path().join("store")).unwrap();
    let (_, sentence) = refusal(start(&settings(broker.kafka(""), dir.path())));
    assert!(sentence.contains("store is not a file of this service"), "{sentence}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let (code, sentence) = refusal(start(&settings(broker.kafka(""), &path)));
        assert!(code == 1 && sentence.contains(&*path.display().to_string()), "{sentence}");
    }
}

#[test]
fn the_marker_must_fit() {
    let broker = broker();
    broker.create_topic("p.toys.events", 3).unwrap();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    toys.stop();
    let marker = toys.settings.data_dir.join("daybook.json");
    let text = fs::read_to_string(&marker).unwrap();
    for (from, to, says) in [
        ("\"service\": \"toys\"", "\"service\": \"users\"", "service users"),
        ("\"layout\": 3", "\"layout\": 99", "layout version 99"),
        ("toys.events", "p.toys.events", "topic p.toys.events"),
        ("\"partitions\": 3", "\"partitions\": 6", "partitions 6"),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&marker, text.replace(from, to)).unwrap();
        let (code, sentence) = refusal(start(&toys.settings));
        assert!(code == 1 && sentence.contains(says), "{sentence}");
    }
    fs::write(&marker, "{").unwrap();
    let error = start(&toys.settings).err().unwrap();
    let RunError::Start(start_error) = error else { panic!("{error:?}") };
    assert!(matches!(*start_error, StartError::Directory(DirectoryError::Marker { .. })));
    fs::write(&marker, text).unwrap();
    toys.restart(|_| {}).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_from_before_there_was_a_journal_is_taken_over() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let make = |name: &str| Call::post("/toys", &serde_json::json!({"name": name}));
    make("bear").send(&toys.router).await.is(201);
    toys.relayed();
    toys.stop();
    let dir = toys.settings.data_dir.clone();
    let layout = |from: u32, to: u32| {
        let marker = fs::read_to_string(dir.join("daybook.json")).unwrap();
        assert!(marker.contains(&format!("\"layout\": {from}")), "{marker}");
        let changed = marker.replace(&format!("\"layout\": {from}"), &format!("\"layout\": {to}"));
        fs::write(dir.join("daybook.json"), changed).unwrap();
    };
    // The store as it was before, at each step on its way.
    for (step, number) in ["as it was", "marked", "moved away", "with its new place"].into_iter().zip(1..) {
        let store = Store::open(&dir.join("store/index"), 1 << 20).unwrap();
        store.apply(vec![(keys::number(), None)]).unwrap();
        store.close().unwrap();
        fs::rename(dir.join("store/index"), dir.join("store.moving")).unwrap();
        fs::remove_dir_all(dir.join("store")).unwrap();
        match number {
            1 | 2 => fs::rename(dir.join("store.moving"), dir.join("store")).unwrap(),
            4 => fs::create_dir(dir.join("store")).unwrap(),
            _ => {}
        }
        if number == 1 {
            layout(3, 2);
        }
        toys.restart(|_| {}).unwrap_or_else(|error| panic!("{step}: {error}"));
        make("bear").send(&toys.router).await.is(409);
        make(step).send(&toys.router).await.is(201);
        toys.relayed();
        toys.stop();
    }
    // A program from before refuses it by its marker.
    assert!(fs::read_to_string(dir.join("daybook.json")).unwrap().contains("\"layout\": 3"));
    assert!(!dir.join("store/db").exists() && !dir.join("store.moving").exists());
}

#[test]
fn a_store_from_before_that_lies_over_a_newer_one_is_refused_and_nothing_is_moved() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    toys.stop();
    let store = toys.settings.data_dir.join("store");
    fs::write(store.join("db"), "from a backup").unwrap();
    let refused = toys.restart(|_| {}).unwrap_err().to_string();
    assert!(refused.contains("lies over a newer one"), "{refused}");
    assert!(store.join("journal").exists() && store.join("index").exists());
    fs::remove_file(store.join("db")).unwrap();
    toys.restart(|_| {}).unwrap();
}
