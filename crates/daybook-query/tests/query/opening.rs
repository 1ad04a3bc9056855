//! What is published cannot be opened or served yet: it is reported, waited for, and served once it can be.

use std::time::Duration;

use axum::Router;
use daybook_projection::{
    Checkpoint, Comparison, Generation, ReadModel, ReplayError, SourceCheckpoint, SourceId,
};
use daybook_query::Settings;
use serde_json::{Value, json};

use crate::http::{get, get_after, get_with};
use crate::log::{PARTITIONS, place};
use crate::served::{id, joined, launched, layout, paid_in, projection};
use crate::setting::{Setting, ready, replayed, status, until};

/// Nobody answers there.
const NO_BROKER: &str = "127.0.0.1:1";

async fn published(setting: &Setting) -> String {
    let service = setting.serve().await;
    let token = setting.log.write_all(&[launched(10, "gold", None), joined(1), paid_in(100, 1, 10, 1)]);
    get_after(&service.router(), "/funds", &token).await.ok();
    service.stop().await.unwrap();
    token
}

fn is_waiting(status: &Value, for_what: &str) -> bool {
    status["next"]["state"] == "waiting" && status["next"]["why"].as_str().unwrap().contains(for_what)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_fails_is_tried_again_whatever_the_reason_and_clients_are_not_told_it() {
    let setting = Setting::new();
    let token = published(&setting).await;
    let lock = setting.data_dir().join("gen-000001/LOCK");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let service = setting.try_start(&setting.settings()).await.unwrap();
    let router = service.router();
    let reported = status(&router, "why", |status| is_waiting(status, "gen-000001")).await;
    let why = reported["next"]["why"].as_str().unwrap();
    assert!(
        why.contains("gen-000001/LOCK") && why.contains("a directory lies where this file belongs"),
        "{why}"
    );
    assert!(!why.contains("space") && !why.contains("may be written"), "{why}");
    assert_eq!((&reported["state"], &reported["generation"]), (&json!("opening"), &Value::Null));
    status(&router, "another try", |status| status["next"]["tries"].as_u64().unwrap() > 1).await;
    client_is_told_nothing_of_it(&router, &["gen-000001", "LOCK", "Is a directory", "projector"]).await;
    assert_eq!(get(&router, "/health/live").await.status, 200);
    let not_ready = get(&router, "/health/ready").await.problem(503);
    let why = not_ready["detail"].as_str().unwrap();
    assert!(why.contains("cannot be opened yet") && !why.contains("gen-000001"), "{why}");
    std::fs::remove_dir(&lock).unwrap();
    ready(&router).await;
    get_after(&router, "/funds", &token).await.ok();
    assert_eq!(get(&router, "/status").await.ok()["next"], Value::Null);
    service.stop().await.unwrap();
}

/// Whoever asks for rows learns that there is no answer yet; why is in `/status`.
async fn client_is_told_nothing_of_it(router: &Router, words: &[&str]) {
    let refused = get(router, "/funds").await.problem(503);
    assert_eq!(refused["type"], "/problems/opening");
    let named = words.iter().find(|word| refused.to_string().contains(**word));
    assert_eq!(named, None, "{refused}");
}

/// What does not pass needs no other process to end before its remedy works.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_is_replaced_beside_who_tries_to_by_the_remedy_that_he_names() {
    let setting = Setting::new();
    let token = published(&setting).await;
    let lock = setting.data_dir().join("gen-000001/LOCK");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let service = setting.try_start(&setting.settings()).await.unwrap();
    let router = service.router();
    let remedy = "projector --replay --accept-difference WHY";
    let reported = status(&router, "the remedy", |status| is_waiting(status, remedy)).await;
    assert!(reported["refused"].as_str().unwrap().contains("gen-000001/LOCK"), "{reported}");
    let refused = replayed(&setting, None).await.unwrap_err();
    let ReplayError::NotCompared { reason } = &refused else { panic!("{refused}") };
    assert!(
        reason.contains("gen-000001/LOCK") && refused.to_string().contains("--accept-difference"),
        "{refused}"
    );
    let report = replayed(&setting, Some("its lock is no file")).await.unwrap();
    assert!(report.published && matches!(report.compared, Comparison::NotCompared { .. }), "{report:?}");
    status(&router, "the new one", |status| status["generation"] == "gen-000002").await;
    get_after(&router, "/funds", &token).await.ok();
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_somebody_looks_at_is_waited_for_with_his_name_in_the_status() {
    let setting = Setting::new();
    let token = published(&setting).await;
    let path = setting.data_dir().join("gen-000001");
    let looking = Generation::open(&path, &layout(), "projector, pid 12").unwrap();
    let service = setting.try_start(&setting.settings()).await.unwrap();
    let router = service.router();
    status(&router, "who has it", |status| is_waiting(status, "projector, pid 12")).await;
    client_is_told_nothing_of_it(&router, &["projector", "pid"]).await;
    drop(looking);
    ready(&router).await;
    get_after(&router, "/funds", &token).await.ok();
    service.stop().await.unwrap();
}

fn zero() -> Checkpoint {
    Checkpoint::zero(projection().topics.iter().map(|topic| (topic.name, PARTITIONS)))
}

/// An empty generation of today's layout, finished.
fn publish_empty(setting: &Setting, name: &str, version_added: u32) {
    publish_at(setting, name, version_added, &zero());
}

fn publish_at(setting: &Setting, name: &str, version_added: u32, reached: &Checkpoint) {
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let mut layout = layout();
    layout.version += version_added;
    Generation::create(&read_model.path_of(name), &layout, reached, "a test").unwrap().finish().unwrap();
    read_model.publish(name).unwrap();
}

fn without_a_broker(setting: &Setting, catch_up_max: Duration) -> Settings {
    let mut settings = setting.settings();
    settings.kafka.brokers = NO_BROKER.to_owned();
    Settings { catch_up_max, ..settings }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_cannot_catch_up_yet_is_told_and_makes_room_for_another() {
    let setting = Setting::new();
    published(&setting).await;
    let service = setting.open_with(&without_a_broker(&setting, Duration::from_millis(50))).await;
    let router = service.router();
    publish_empty(&setting, "gen-000002", 0);
    let reported = status(&router, "it catches up", |status| status["next"]["state"] == "catching-up").await;
    assert_eq!(
        (&reported["next"]["generation"], &reported["next"]["behind_events"]),
        (&json!("gen-000002"), &json!(3))
    );
    assert_eq!(reported["generation"], "gen-000001");
    publish_empty(&setting, "gen-000003", 1);
    let reported = status(&router, "another layout", |status| status["next"]["state"] == "refused").await;
    assert_eq!(reported["next"]["generation"], "gen-000003");
    assert!(
        reported["refused"].as_str().unwrap().contains("gen-000003 is published but not served"),
        "{reported}"
    );
    get_with(&router, "/funds", &[("daybook-wait-ms", "60000")]).await.ok();
    service.stop().await.unwrap();
}

/// It has projected more of one partition than the log has at present, and less of the others than is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_waits_for_the_log_is_told_and_not_refused() {
    let setting = Setting::new();
    published(&setting).await;
    let service = setting.serve().await;
    let router = service.router();
    let (topic, partition) = place(&launched(10, "gold", None));
    let lost = SourceCheckpoint {
        next_offset: 5,
        next_position: 5,
        last_id: Some(id(1)),
        resume_offset: 5,
        ..SourceCheckpoint::default()
    };
    let at = |(source, at): (&SourceId, &SourceCheckpoint)| {
        let is_lost = (&*source.topic, source.partition) == (topic, partition);
        (source.clone(), if is_lost { lost } else { *at })
    };
    publish_at(&setting, "gen-000002", 0, &Checkpoint::from_sources(zero().sources().map(at)));
    let reported =
        status(&router, "what it waits for", |status| is_waiting(status, "the log ends at offset 1")).await;
    assert_eq!((&reported["state"], &reported["generation"]), (&json!("following"), &json!("gen-000001")));
    assert_eq!(reported["next"]["behind_events"], 2);
    publish_empty(&setting, "gen-000003", 0);
    status(&router, "the one after it", |status| status["generation"] == "gen-000003").await;
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_first_catch_up_goes_on_waiting_over_a_swap() {
    let setting = Setting::new();
    published(&setting).await;
    let service = setting.open_with(&without_a_broker(&setting, Duration::from_secs(3_600))).await;
    let router = service.router();
    let path = format!("/owners/{}/deposits", id(1));
    let asking = tokio::spawn({
        let (router, path) = (router.clone(), path.clone());
        async move { get_with(&router, &path, &[("daybook-wait-ms", "4000")]).await }
    });
    let at_work = "daybook_http_requests_at_work 1\n";
    until("it waits", async || get(&router, "/metrics").await.text.contains(at_work).then_some(())).await;
    // Copied as it is: with all that the served one has.
    let (from, to) = (setting.data_dir().join("gen-000001"), setting.data_dir().join("gen-000002"));
    copy(&from, &to);
    ReadModel::open(&setting.data_dir()).unwrap().publish("gen-000002").unwrap();
    status(&router, "the swap", |status| status["generation"] == "gen-000002").await;
    let refused = asking.await.unwrap();
    assert_eq!(refused.problem(503)["type"], "/problems/catching-up");
    let refused = get_with(&router, &path, &[("daybook-wait-ms", "20")]).await;
    assert_eq!(refused.problem(503)["type"], "/problems/catching-up");
    assert_eq!(get(&router, "/health/ready").await.status, 503);
    service.stop().await.unwrap();
}

pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => std::fs::copy(entry.path(), target).map(drop).unwrap(),
        }
    }
}
