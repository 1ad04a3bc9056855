//! From nothing to a read model, and from one run to the next.

use std::time::Duration;

use daybook_projection::{Checkpoint, Generation, ReadModel, ReplayOptions, replay};
use daybook_service::Stop;
use serde_json::{Value, json};

use crate::http::{get, get_after, get_with};
use crate::log::{Log, PARTITIONS};
use crate::served::{id, joined, launched, layout, paid_in, projection};
use crate::setting::{Setting, ready, status};

/// Longer than any test takes.
const WAITING: &[(&str, &str)] = &[("daybook-wait-ms", "60000")];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_before_the_first_generation_is_whole() {
    let setting = Setting::on(Log::without_topics());
    let service = setting.try_start(&setting.settings()).await.unwrap();
    let router = service.router();
    let reported = |status: &Value| {
        status["build_trouble"].as_str().is_some_and(|reported| reported.contains("owners.events"))
    };
    let building = status(&router, "the missing topic is named", reported).await;
    assert_eq!((&building["state"], &building["generation"]), (&json!("building"), &Value::Null));
    for path in ["/funds".to_owned(), format!("/owners/{}/deposits", id(1))] {
        let answer = get(&router, &path).await;
        assert_eq!(answer.problem(503)["type"], "/problems/building");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(get(&router, "/health/ready").await.problem(503)["type"], "/problems/not-ready");
    assert_eq!(get(&router, "/health/live").await.status, 200);

    setting.log.create_topics();
    setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    ready(&router).await;
    let following = get(&router, "/status").await.ok();
    assert_eq!(following["build_trouble"], Value::Null);
    assert_eq!((&following["state"], &following["generation"]), (&json!("following"), &json!("gen-000001")));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_generation_holds_what_was_there_before_it_is_served() {
    let setting = Setting::new();
    let token = setting.log.write_all(&[joined(1), launched(10, "gold", None), paid_in(100, 1, 10, 1)]);
    let service = setting.serve().await;
    let answer = get(&service.router(), &format!("/owners/{}/deposits", id(1))).await;
    let as_of = answer.header("daybook-as-of").to_owned();
    assert_eq!(answer.ok()["deposits"][0]["title"], "gold");
    token.split(',').for_each(|at| assert!(as_of.contains(at), "{as_of}"));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_is_served_without_a_broker() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    let path = format!("/owners/{}/deposits", id(1));
    let before = get_after(&service.router(), &path, &token).await.text;
    service.stop().await.unwrap();

    let mut settings = setting.settings();
    settings.kafka.brokers = "127.0.0.1:1".to_owned();
    settings.catch_up_max = Duration::from_millis(50);
    let service = setting.open_with(&settings).await;
    assert_eq!(get_with(&service.router(), &path, WAITING).await.text, before);
    assert_eq!(
        get(&service.router(), "/health/ready").await.status,
        503,
        "it does not know the end of the log"
    );
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_begins_behind_the_log_answers_once_it_has_caught_up() {
    let setting = Setting::new();
    setting.serve().await.stop().await.unwrap();
    let mut settings = setting.settings();
    let brokers = std::mem::replace(&mut settings.kafka.brokers, "127.0.0.1:1".to_owned());
    settings.catch_up_max = Duration::from_secs(3_600);
    let service = setting.open_with(&settings).await;
    let refused = get_with(&service.router(), "/funds", &[("daybook-wait-ms", "20")]).await;
    assert_eq!(refused.problem(503)["type"], "/problems/catching-up");
    assert_eq!(refused.header("retry-after"), "1");
    service.stop().await.unwrap();

    let token = setting.log.write_all(&[launched(10, "gold", None), joined(1), paid_in(100, 1, 10, 1)]);
    settings.kafka.brokers = brokers;
    let service = setting.open_with(&settings).await;
    let answer = get_with(&service.router(), &format!("/owners/{}/deposits", id(1)), WAITING).await;
    token.split(',').for_each(|at| assert!(answer.header("daybook-as-of").contains(at), "{}", answer.text));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_last_run_ended() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    get_after(&service.router(), "/funds", &token).await.ok();
    service.stop().await.unwrap();
    let token = setting.log.write(&paid_in(101, 1, 11, 1));
    let service = setting.serve().await;
    let path = format!("/owners/{}/deposits", id(1));
    let funds = get_after(&service.router(), &path, &token).await.ok();
    assert_eq!(funds["deposits"].as_array().unwrap().len(), 2);
    let status = get(&service.router(), "/status").await.ok();
    assert_eq!((&status["generation"], &status["events_applied"]), (&json!("gen-000001"), &json!(1)));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_on_the_same_read_model_is_refused() {
    let setting = Setting::new();
    let service = setting.try_start(&setting.settings()).await.unwrap();
    let error = setting.try_start(&setting.settings()).await.err().unwrap();
    assert!(error.is_in_use(), "{error}");
    assert!(error.to_string().contains("is in use by a test"), "{error}");
    service.stop().await.unwrap();
    setting.serve().await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_layout_is_replaced() {
    let setting = Setting::new();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let mut layout = layout();
    layout.version += 1;
    let zero = Checkpoint::zero([("owners.events", 2)]);
    let foreign = Generation::create(&read_model.path_of("gen-000001"), &layout, &zero, "a test").unwrap();
    foreign.finish().unwrap();
    drop(foreign);
    read_model.publish("gen-000001").unwrap();

    let service = setting.serve().await;
    let status =
        status(&service.router(), "the new generation", |status| status["generation"] == "gen-000002").await;
    assert_eq!(status["refused"], Value::Null);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_build_that_fails_ends_the_service_with_the_reason() {
    let setting = Setting::new();
    setting.log.skip_positions(&joined(1), 3);
    setting.log.write(&joined(1));
    let mut service = setting.try_start(&setting.settings()).await.unwrap();
    let error = service.failed().await;
    assert!(error.to_string().contains("position 0 was expected, 3 was found"), "{error}");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_build_waits_for_one_that_another_process_has_begun() {
    let setting = Setting::new();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let other = read_model.lock_for_replay("another test").unwrap();
    let service = setting.try_start(&setting.settings()).await.unwrap();
    let reported = |status: &Value| {
        status["build_trouble"].as_str().is_some_and(|reported| reported.contains("another test"))
    };
    status(&service.router(), "who is at work", reported).await;
    let metrics = get(&service.router(), "/metrics").await.text;
    assert!(metrics.contains("daybook_build_trouble 1\n"), "{metrics}");
    drop(other);
    ready(&service.router()).await;
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_user_may_ask_the_socket_beside_the_rows() {
    use std::os::unix::fs::PermissionsExt as _;
    let setting = Setting::new();
    let service = setting.serve().await;
    let socket = std::fs::metadata(setting.data_dir().join("ADMIN")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_has_left_unfinished_does_not_keep_a_new_one_from_building() {
    let setting = Setting::new();
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    let (kafka, data_dir) = (setting.log.kafka(), setting.data_dir());
    let left = tokio::task::spawn_blocking(move || {
        let read_model = ReadModel::open(&data_dir).unwrap();
        let options = ReplayOptions::new(PARTITIONS, "a test".to_owned());
        let cancelled = Stop::default();
        cancelled.request();
        replay(&kafka, &read_model, projection(), &options, |_| {}, &cancelled).unwrap_err();
        read_model.path_of("gen-000001").join("build/JOURNAL")
    });
    let left = left.await.unwrap();
    let journal = std::fs::read_to_string(&left).unwrap();
    let (json, _sum) = journal.split_once('\n').unwrap();
    let earlier = json.replace("\"version\":5", "\"version\":4");
    assert_ne!(earlier, json);
    std::fs::write(&left, earlier).unwrap();
    let service = setting.serve().await;
    get_after(&service.router(), "/funds", &token).await.ok();
    service.stop().await.unwrap();
}
