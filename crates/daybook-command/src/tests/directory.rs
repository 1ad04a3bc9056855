//! The service's own directory: what is refused, and that nothing is written then.

use std::fs;

use tempfile::TempDir;

use super::toy::{Toys, router};
use crate::store::directory::{Directory, Marker};
use crate::testing::{TestService, broker, settings};
use crate::{DirectoryError, RunError, Running, StartError};

fn refusal(started: Result<Running<Toys>, RunError>) -> (u8, String) {
    match started {
        Err(error) => (error.exit_code(), error.to_string()),
        Ok(_) => panic!("the service should not have started"),
    }
}

fn start(settings: &crate::Settings) -> Result<Running<Toys>, RunError> {
    Running::start(settings, std::sync::Arc::new(crate::SystemAmbient), &crate::StartProgress::default())
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
        ("\"layout\": 6", "\"layout\": 99", "layout version 99"),
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

/// It has no journal, and would take what it does not know for an empty store.
#[test]
fn a_program_from_before_there_was_a_journal_refuses_a_directory_of_today() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    toys.stop();
    let directory = Directory::open(&toys.settings.data_dir, "toys").unwrap();
    let (topic, partitions) = ("toys.events".to_owned(), toys.settings.partitions);
    let before = Marker { service: "toys".to_owned(), layout: 2, topic, partitions };
    let refused = directory.check_marker(&before).unwrap_err().to_string();
    assert!(refused.contains("says layout version 6, but this process has"), "{refused}");
    assert!(refused.contains("use the version of this program that wrote it"), "{refused}");
}

#[test]
fn a_store_whose_marker_is_gone_is_named_and_not_to_be_moved_away() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    toys.stop();
    let marker = toys.settings.data_dir.join("daybook.json");
    let text = fs::read_to_string(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    for recover in [false, true] {
        toys.settings.recover = recover;
        let (code, sentence) = refusal(start(&toys.settings));
        assert!(code == 1 && sentence.contains("topic toys.events (3 partitions, layout 6)"), "{sentence}");
        assert!(sentence.contains("Do not move the store away"), "{sentence}");
    }
    fs::write(&marker, text).unwrap();
    toys.restart(|settings| settings.recover = false).unwrap();
}

#[test]
fn a_file_that_was_being_replaced_is_not_foreign() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["daybook.json.tmp", "daybook.json.new", "writer.json.tmp", "writer.json.new"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    drop(Directory::open(directory.path(), "toys").unwrap());
    let other = directory.path().join("store.tmp");
    fs::write(&other, "").unwrap();
    let refused = Directory::open(directory.path(), "toys").unwrap_err();
    assert!(matches!(&refused, DirectoryError::Foreign { path } if *path == other), "{refused}");
}

#[test]
fn too_many_open_files_are_not_blamed_on_the_directory() {
    let source = std::io::Error::from_raw_os_error(24);
    let said = DirectoryError::Unusable { path: "users".into(), source }.to_string();
    assert!(said.contains("ulimit -n") && !said.contains("may be written"), "{said}");
}
