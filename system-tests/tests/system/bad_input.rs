//! Wrong settings, places and directories: one clear sentence, the right exit code, nothing written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use system_tests::broker::TestBroker;
use system_tests::process::{self, Process};
use tempfile::TempDir;

const SERVICES: [&str; 4] = ["users", "products", "orders", "query-api"];

fn flags(broker: &TestBroker, data_dir: &Path) -> Vec<String> {
    let mut flags = broker.flags();
    flags.extend(["--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned));
    flags.push(data_dir.display().to_string());
    flags
}

#[track_caller]
fn assert_refused(service: &str, flags: &[String], code: i32, said: &[&str]) {
    let finished = process::run(service, flags);
    assert_eq!(finished.code, Some(code), "{service}: {}", finished.stderr);
    for words in said {
        assert!(finished.stderr.contains(words), "{service} should say `{words}`:\n{}", finished.stderr);
    }
}

#[test]
fn all_wrong_settings_are_reported_together() {
    let wrong = ["--listen", "nowhere", "--partitions", "many", "--kafka", "acks"].map(str::to_owned);
    for service in SERVICES {
        assert_refused(service, &wrong, 2, &["--listen", "--partitions", "--kafka"]);
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    for service in SERVICES.into_iter().chain(["projector", "daybook"]) {
        assert_refused(service, &["--no-such-flag".to_owned()], 2, &["--no-such-flag"]);
    }
}

#[test]
fn an_unreachable_broker_is_named() {
    let directory = TempDir::new().unwrap();
    for service in SERVICES {
        let mut flags = vec!["--brokers".to_owned(), "127.0.0.1:1".to_owned()];
        flags.extend(
            ["--listen", "127.0.0.1:0", "--start-timeout-ms", "1500", "--data-dir"].map(str::to_owned),
        );
        flags.push(directory.path().join(service).display().to_string());
        assert_refused(service, &flags, 1, &["127.0.0.1:1", "--brokers"]);
    }
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let broker = TestBroker::embedded();
    for service in SERVICES {
        let directory = TempDir::new().unwrap();
        let flags = flags(&broker, directory.path());
        let mut first = Process::start(service, &flags);
        first.address();
        assert_refused(service, &flags, 3, &["in use"]);
        assert_eq!(first.terminate().code(), Some(0));
    }
}

#[test]
fn a_foreign_file_is_named_and_left_alone() {
    let broker = TestBroker::embedded();
    for service in SERVICES {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("thesis.doc"), "chapter 1").unwrap();
        assert_refused(service, &flags(&broker, directory.path()), 1, &["thesis.doc"]);
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let ours = |name: &std::ffi::OsString| name.to_string_lossy().to_lowercase().contains("lock");
        assert!(names.iter().all(|name| name == "thesis.doc" || ours(name)), "{service} wrote {names:?}");
    }
}

#[test]
fn the_directory_of_another_service_is_refused() {
    let broker = TestBroker::embedded();
    let directory = TempDir::new().unwrap();
    let flags = flags(&broker, directory.path());
    let mut users = Process::start("users", &flags);
    users.address();
    assert_eq!(users.terminate().code(), Some(0));
    assert_refused("products", &flags, 1, &["users"]);
    assert_refused("query-api", &flags, 1, &[&directory.path().display().to_string()]);
}

#[test]
fn a_file_where_the_directory_should_be_is_named() {
    let broker = TestBroker::embedded();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("data");
    fs::write(&file, "not a directory").unwrap();
    for service in SERVICES {
        assert_refused(service, &flags(&broker, &file), 1, &[&file.display().to_string()]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a directory");
}

#[test]
fn a_forbidden_directory_is_named() {
    if nothing_is_forbidden() {
        eprintln!("not run: this user may write everywhere");
        return;
    }
    let broker = TestBroker::embedded();
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let data_dir = directory.path().join("data");
    for service in SERVICES {
        assert_refused(service, &flags(&broker, &data_dir), 1, &[&data_dir.display().to_string()]);
    }
}

/// Permissions do not bind root.
fn nothing_is_forbidden() -> bool {
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    fs::write(directory.path().join("probe"), "").is_ok()
}

#[test]
fn projector_wants_exactly_one_task() {
    assert_refused("projector", &[], 2, &["--replay"]);
    assert_refused("projector", &["--replay".to_owned(), "--status".to_owned()], 2, &["--status"]);
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_topic_that_forgets_is_refused_by_name() {
    let broker = TestBroker::real();
    let topic = broker.kafka().topic_name("users.events");
    let mut create =
        std::process::Command::new(system_tests::binaries::root().join("system-tests/kafka/kafka"));
    create.args([
        "tool",
        "kafka-topics",
        "--bootstrap-server",
        &broker.kafka().brokers,
        "--create",
        "--topic",
        &topic,
    ]);
    create.args(["--partitions", "3", "--config", "retention.ms=3600000"]);
    assert!(create.status().unwrap().success());
    let directory = TempDir::new().unwrap();
    assert_refused("users", &flags(&broker, directory.path()), 1, &["retention.ms", "3600000", &topic]);
}
