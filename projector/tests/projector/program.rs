//! The program projector, from its command line to its exit code.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use daybook_projection::{Generation, ReadModel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::{created, placed, signed_up};
use crate::log::{Log, PARTITIONS};

const USER: Uuid = Uuid::from_u128(0x77);
const PRODUCT: Uuid = Uuid::from_u128(0x99);

/// The program, with a broker and a directory of the read model.
pub(crate) fn projector(broker: &Broker, data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = alone(arguments);
    command.args(["--brokers", &broker.kafka.brokers, "--topic-prefix", &broker.kafka.topic_prefix]);
    command.args(["--embedded-broker", "--partitions", &PARTITIONS.to_string(), "--data-dir"]).arg(data_dir);
    command
}

fn alone(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
    command.env_clear().args(arguments);
    command
}

/// Rebuilds, and gives the report.
pub(crate) fn replay(broker: &Broker, data_dir: &Path) -> Value {
    json_of(&projector(broker, data_dir, &["--replay", "--json"]).output().unwrap())
}

pub(crate) fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
pub(crate) fn assert_refused(output: &Output, exit_code: i32, sentences: &[&str]) {
    let reported = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{reported}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    for sentence in sentences {
        assert!(reported.contains(sentence), "`{sentence}` is not in: {reported}");
    }
}

fn shop_with_an_order() -> Broker {
    let broker = Broker::start();
    let mut log = Log::default();
    log.write(&signed_up(USER));
    log.write(&created(PRODUCT, "pants", Some(1_999)));
    log.write(&placed(Uuid::from_u128(1), USER, PRODUCT, 2));
    broker.write(&log.records);
    broker
}

#[test]
fn replay_status_and_inspect() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    let run =
        |arguments: &[&str]| json_of(&projector(&broker, directory.path(), arguments).output().unwrap());
    let report = replay(&broker, directory.path());
    assert_eq!((&report["generation"], &report["events"]), (&json!("gen-000001"), &json!(3)));

    let status = run(&["--status", "--json"]);
    assert_eq!((&status["digest"], &status["events"]), (&report["digest"], &json!(3)));
    assert_eq!(status["partitions"].as_array().unwrap().len(), 6);
    assert!(status["partitions"].as_array().unwrap().iter().all(|partition| partition["lag"] == 0));

    let product = run(&["--inspect", &PRODUCT.to_string()]);
    assert_eq!(product["products"]["price_cents"], 1_999);
    let user = run(&["--inspect", &USER.to_string()]);
    assert_eq!(user["users"]["deleted"], false);
    assert_eq!(user["orders"]["orders"][0]["quantity"], 2);
    let nobody =
        projector(&broker, directory.path(), &["--inspect", &Uuid::nil().to_string()]).output().unwrap();
    assert_refused(&nobody, 1, &["no view has a row with key"]);
}

#[test]
fn progress_goes_to_stderr_as_json_if_asked_for() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    let output = projector(&broker, directory.path(), &["--replay", "--json"]).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr);
    let progress: Vec<Value> = reported.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(progress.last().unwrap()["done"], 3, "{reported}");
    let text = projector(&broker, directory.path(), &["--replay"]).output().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("gen-000002: 3 events"));
    assert!(String::from_utf8_lossy(&text.stderr).contains("3 of 3 changes written"));
}

#[test]
fn wrong_settings_are_told_together_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("read-model");
    let data_dir_text = data_dir.to_str().unwrap();
    let wrong =
        ["--replay", "--status", "--memory", "lots", "--partitions", "0", "--data-dir", data_dir_text];
    let output = alone(&wrong).output().unwrap();
    assert_refused(&output, 2, &["--memory", "--partitions", "exactly one of"]);
    let output = alone(&["--inspect", "me", "--no-publish", "--data-dir", data_dir_text]).output().unwrap();
    assert_refused(
        &output,
        2,
        &["\"me\" is not a UUID", "--no-publish, --into and --accept-difference go with --replay only"],
    );
    assert_refused(&alone(&["--data-dir", data_dir_text]).output().unwrap(), 2, &["exactly one of"]);
    assert!(!data_dir.exists());
}

#[test]
fn what_looks_after_a_read_model_names_a_directory_that_is_not_there_and_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("read-modle");
    let run = |arguments: &[&str]| alone(arguments).arg("--data-dir").arg(&data_dir).output().unwrap();
    let (key, named) = (USER.to_string(), format!("{} does not exist", data_dir.display()));
    for arguments in [
        &["--status"][..],
        &["--status", "--json"],
        &["--verify", "--brokers", "127.0.0.1:1", "--start-timeout-ms", "300"],
        &["--rollback"],
        &["--discard"],
        &["--rate", "5"],
        &["--inspect", &key],
        &["--release", &key],
        &["--skip-event", "users.events/0@1", "--why", "a test"],
    ] {
        assert_refused(&run(arguments), 2, &[&named, "--data-dir"]);
        assert!(!data_dir.exists(), "{arguments:?}");
    }
    fs::create_dir(&data_dir).unwrap();
    let empty = run(&["--status"]);
    assert!(String::from_utf8_lossy(&empty.stdout).contains("no generation has been published"), "{empty:?}");
    assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 0);
}

#[test]
fn a_generation_in_use_is_told_by_its_holder() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    let path = replay(&broker, directory.path())["path"].as_str().unwrap().to_owned();
    let _serving = Generation::open(Path::new(&path), &projector::layout(), "query-api, pid 12").unwrap();
    let inspect = projector(&broker, directory.path(), &["--inspect", &USER.to_string()]).output().unwrap();
    assert_refused(&inspect, 3, &["in use by query-api, pid 12"]);
    let status = projector(&broker, directory.path(), &["--status"]).output().unwrap();
    assert!(status.status.success());
    assert!(String::from_utf8_lossy(&status.stdout).contains("in use by query-api, pid 12"));
    // What is served by somebody who answers no questions cannot be compared.
    let refused = projector(&broker, directory.path(), &["--replay"]).output().unwrap();
    assert_refused(
        &refused,
        1,
        &["query-api, pid 12 has the generation and does not serve it", "not published"],
    );
    let accepted = ["--replay", "--json", "--accept-difference", "a test"];
    let report = json_of(&projector(&broker, directory.path(), &accepted).output().unwrap());
    assert_eq!((&report["generation"], &report["resumed"]), (&json!("gen-000002"), &json!(true)));
    assert!(report["compared"].as_str().unwrap().contains("accepted (a test)"), "{report}");
}

/// From too few for anything to enough.
#[test]
fn where_no_more_files_may_be_opened_the_limit_is_named_and_no_other_remedy() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    replay(&broker, directory.path());
    let inspect = format!("exec \"$0\" --inspect {USER} --data-dir \"$1\"");
    let mut refused = 0;
    for files in 3.. {
        let script = format!("ulimit -n {files}; {inspect}");
        let mut limited = Command::new("sh");
        limited.env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_projector")]).arg(directory.path());
        let output = limited.output().unwrap();
        if output.status.success() {
            break;
        }
        let reported = String::from_utf8_lossy(&output.stderr);
        // With less than this the program cannot even be begun.
        if output.status.code() != Some(127) && !reported.contains("shared libraries") {
            assert_refused(&output, 1, &["limit of open files", "ulimit -n"]);
            assert!(!reported.contains("may be written") && !reported.contains("--replay"), "{reported}");
            refused += 1;
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn a_second_replay_is_refused_with_the_first_ones_name() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let _first = read_model.lock_for_replay("projector, pid 12").unwrap();
    let second = projector(&broker, directory.path(), &["--replay"]).output().unwrap();
    assert_refused(&second, 3, &["projector, pid 12 is rebuilding"]);
}

#[test]
fn a_broker_that_is_away_and_a_foreign_file_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("read-model");
    let nowhere = [
        "--replay",
        "--brokers",
        "127.0.0.1:1",
        "--start-timeout-ms",
        "300",
        "--data-dir",
        data_dir.to_str().unwrap(),
    ];
    let output = alone(&nowhere).output().unwrap();
    assert_refused(&output, 1, &["no Kafka broker answers at 127.0.0.1:1", "--brokers"]);
    assert!(!data_dir.exists());
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join("holiday.jpg"), "").unwrap();
    let output = alone(&nowhere).output().unwrap();
    assert_refused(&output, 1, &["holiday.jpg"]);
    assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
}

#[test]
fn who_is_told_to_stop_waits_for_no_broker() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("read-model");
    for arguments in [&["--replay"][..], &["--replay", "--into"]] {
        let mut command = alone(arguments);
        if arguments.len() > 1 {
            command.arg(directory.path().join("aside"));
        }
        command
            .args(["--brokers", "127.0.0.1:1", "--start-timeout-ms", "600000", "--data-dir"])
            .arg(&data_dir);
        let mut waits = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reported = String::new();
        let mut lines = BufReader::new(waits.stderr.take().unwrap()).lines();
        // It waits now, and has heard of signals.
        reported.push_str(&lines.next().unwrap().unwrap());
        let signalled = Command::new("kill").arg(waits.id().to_string()).status().unwrap();
        assert!(signalled.success());
        reported.extend(lines.map(Result::unwrap));
        assert_eq!(waits.wait().unwrap().code(), Some(1), "{reported}");
        assert!(reported.contains("stopped after 0 of 0"), "{reported}");
    }
}

#[test]
fn a_replay_into_another_directory_makes_no_read_model() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, aside) = (directory.path().join("read-model"), directory.path().join("aside"));
    let report = json_of(
        &projector(&broker, &data_dir, &["--replay", "--json", "--into", aside.to_str().unwrap()])
            .output()
            .unwrap(),
    );
    assert_eq!((&report["events"], &report["published"]), (&json!(3), &json!(false)));
    assert!(aside.is_dir() && !data_dir.exists());
}

#[test]
fn status_says_why_a_generation_was_withdrawn_and_accepting_it_builds_it_anew() {
    let broker = shop_with_an_order();
    let directory = tempfile::tempdir().unwrap();
    replay(&broker, directory.path());
    // The one that is served lacks what the log has: whatever is built says something else.
    let read_model = ReadModel::open(directory.path()).unwrap();
    let layout = projector::layout();
    let served = Generation::open(&read_model.path_of("gen-000001"), &layout, "a test").unwrap().checkpoint();
    let empty = Generation::create(&read_model.path_of("gen-000002"), &layout, &served, "a test").unwrap();
    empty.finish().unwrap();
    drop(empty);
    read_model.publish("gen-000002").unwrap();
    replay_differs(&broker, directory.path());
    read_model.withdraw("gen-000001", "gen-000002", "a row is another").unwrap();
    let run = |arguments: &[&str]| projector(&broker, directory.path(), arguments).output().unwrap();
    let expected = json!([{ "generation": "gen-000001", "served": "gen-000002", "why": "a row is another" }]);
    assert_eq!(json_of(&run(&["--status", "--json"]))["withdrawn"], expected);
    let text = String::from_utf8(run(&["--status"]).stdout).unwrap();
    assert!(text.contains("gen-000001") && text.contains("a row is another"), "{text}");
    assert!(text.contains("--accept-difference"), "{text}");
    replay_differs(&broker, directory.path());
    let report = json_of(&run(&["--replay", "--json", "--accept-difference", "the log is right"]));
    assert_eq!(report["published"], json!(true));
    let status = json_of(&run(&["--status", "--json"]));
    assert_eq!((&status["generation"], &status["withdrawn"]), (&report["generation"], &json!([])));
}

fn replay_differs(broker: &Broker, data_dir: &Path) {
    let refused = projector(broker, data_dir, &["--replay"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let reported = String::from_utf8_lossy(&refused.stderr);
    assert!(reported.contains("--accept-difference"), "{reported}");
}
