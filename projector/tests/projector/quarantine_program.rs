//! `--release`, `--skip-event`, and what `--status` and `--inspect` show of the quarantine, while nobody serves.

use std::path::Path;
use std::sync::Arc;

use daybook_projection::{Follower, ReadModel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker::{Broker, until_events};
use crate::domain::{signed_up, user_deleted};
use crate::log::{Log, Record, open};
use crate::program::{assert_refused, json_of, projector, replay};

const USER: Uuid = Uuid::from_u128(0x77);

/// Writes an event of a type that is not known, at the next position.
fn write_unknown(log: &mut Log, user: Uuid) -> Record {
    let record = log.write(&signed_up(user));
    let text = String::from_utf8(record.value).unwrap().replace("signed-up", "renamed");
    let last = log.records.last_mut().unwrap();
    last.value = text.into_bytes();
    last.clone()
}

/// A read model in which two events of a user wait, and the name of the first.
fn with_parked_user(broker: &Broker, directory: &Path) -> String {
    let mut log = Log::default();
    log.write(&signed_up(USER));
    broker.write(&log.records);
    replay(broker, directory);
    let broken = write_unknown(&mut log, USER);
    log.write(&user_deleted(USER));
    broker.write(&log.records[1..]);
    let read_model = ReadModel::open(directory).unwrap();
    let generation = Arc::new(open(&read_model.path_of("gen-000001")));
    let follower = Follower::start(&broker.kafka, generation.clone(), projector::projection()).unwrap();
    until_events(&generation, 3);
    follower.stop().unwrap();
    crate::log::event_id(broken.source, 1).to_string()
}

#[test]
fn what_waits_is_shown_released_or_left_out() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let event = with_parked_user(&broker, directory.path());
    let user = USER.to_string();
    let run = |arguments: &[&str]| projector(&broker, directory.path(), arguments).output().unwrap();

    let status = json_of(&run(&["--status", "--json"]));
    let parked = &status["quarantine"][0];
    assert_eq!(
        (&parked["key"], &parked["waiting"], &parked["event_id"]),
        (&json!(user), &json!(2), &json!(event))
    );
    let text = run(&["--status"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains(&format!("in quarantine: {user} since users.events/")), "{text}");
    assert_eq!(json_of(&run(&["--inspect", &user]))["quarantine"][0]["waiting"], 2);

    assert_refused(&run(&["--release", &user]), 1, &[&user, "stays parked", &event, "shop.user.renamed.v1"]);
    assert_refused(&run(&["--release", "nobody"]), 1, &["no events of key nobody wait"]);
    let elsewhere = ["--skip-event", "users.events/0@9", "--why", "a test"];
    assert_refused(&run(&elsewhere), 1, &["no event users.events/0@9 waits in quarantine"]);
    assert_eq!(json_of(&run(&["--status", "--json"]))["quarantine"][0], *parked, "nothing has changed");

    let read_model = ReadModel::open(directory.path()).unwrap();
    let at_work = read_model.lock_for_replay("projector, pid 12").unwrap();
    let skip = ["--skip-event", event.as_str(), "--why", "written by mistake", "--json"];
    assert_refused(&run(&skip), 3, &["projector, pid 12 is rebuilding"]);
    drop(at_work);
    let skipped = json_of(&run(&skip));
    assert_eq!(skipped, json!({ "projected": 1, "left_out": 1, "waiting": 0 }));
    let shown = json_of(&run(&["--inspect", &user]));
    assert_eq!((&shown["users"]["deleted"], &shown["quarantine"]), (&json!(true), &Value::Null));
    assert_eq!(
        (&shown["skipped"][0]["why"], &shown["skipped"][0]["id"]),
        (&json!("written by mistake"), &json!(event))
    );
    let text = run(&["--status"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("left out since 20") && text.contains("written by mistake"), "{text}");

    let note = directory.path().join("SKIPPED");
    let kept = std::fs::read(&note).unwrap();
    std::fs::remove_file(&note).unwrap();
    let left_out = &shown["skipped"][0];
    let topic = left_out["topic"].as_str().unwrap();
    let place = format!("{topic}/{}@{}", left_out["partition"], left_out["position"]);
    let lost = [place.as_str(), "not named in SKIPPED any more", "Restore SKIPPED from a copy"];
    assert_refused(&run(&["--replay"]), 1, &[&lost[..], &["not the same"]].concat());
    let verified = run(&["--verify"]);
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(lost.iter().all(|lost| told.contains(lost)) && told.contains("verify again"), "{told}");
    std::fs::write(&note, kept).unwrap();
    let verified = run(&["--verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn an_event_is_left_out_for_a_reason_only() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| projector(&broker, directory.path(), arguments).output().unwrap();
    assert_refused(&run(&["--skip-event", "me"]), 2, &["--skip-event `me`", "needs --why"]);
    assert_refused(&run(&["--status", "--why", "so"]), 2, &["--why goes with --skip-event only"]);
    assert_refused(&run(&["--release", "a", "--status"]), 2, &["exactly one of"]);
    assert_refused(&run(&["--release", "a"]), 1, &["no generation has been published"]);
}
