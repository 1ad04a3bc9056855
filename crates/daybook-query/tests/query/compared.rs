//! A published generation is compared with what is served: whatever becomes of that, no other wish is lost.

use std::fs;

use axum::Router;
use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::Source;
use daybook_projection::{Generation, ReadModel, ReplayError, ReplayOptions, ReplayReport, replay};
use daybook_service::Stop;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::{get, get_after, get_with};
use crate::log::{Log, PARTITIONS, place};
use crate::opening::copy;
use crate::served::{Happened, TOPICS, joined, layout, paid_in, projection};
use crate::setting::{Setting, status};
use crate::swaps::{path, rebuild, serving};

/// Whoever removes what was withdrawn, and builds anew, gets the same number again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_anew_under_the_name_of_what_was_withdrawn_is_judged_anew() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    let before = get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let (layout, empty) = (layout(), read_model.path_of("gen-000002"));
    let served = Generation::open(&read_model.path_of("gen-000001"), &layout, "a test").unwrap().checkpoint();
    let service = setting.serve().await;
    let router = service.router();
    Generation::create(&empty, &layout, &served, "a test").unwrap().finish().unwrap();
    read_model.publish("gen-000002").unwrap();
    let reported = status(&router, "withdrawn", |status| status["next"]["state"] == "withdrawn").await;
    assert!(reported["refused"].as_str().unwrap().contains("gen-000001 is published again"), "{reported}");
    assert_eq!(read_model.named().unwrap().unwrap(), "gen-000001");
    fs::remove_dir_all(&empty).unwrap();
    assert_eq!(rebuild(&setting).await, "gen-000002");
    serving(&router, "gen-000002").await;
    assert_eq!(get_after(&router, &path(), &token).await.ok(), before);
    service.stop().await.unwrap();
}

/// A start would have to build anew otherwise, and its replay would remove what is whole as what was before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_before_it_was_served_keeps_no_start_from_what_is_whole() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    let before = get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let damaged = setting.data_dir().join("gen-000002");
    copy(&setting.data_dir().join("gen-000001"), &damaged);
    fs::write(damaged.join("rows/db"), [0xa5; 4096]).unwrap();
    let service = setting.serve().await;
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    read_model.publish("gen-000002").unwrap();
    let reported =
        status(&service.router(), "withdrawn", |status| status["next"]["state"] == "withdrawn").await;
    let refused = reported["refused"].as_str().unwrap();
    assert!(refused.contains("gen-000001 is published again"), "{reported}");
    let readiness = get(&service.router(), "/health/ready").await.text;
    assert!(readiness.contains(r#""status":"ready""#) && readiness.contains(refused), "{readiness}");
    let metrics = get(&service.router(), "/metrics").await.text;
    assert!(metrics.contains(r#"daybook_next{state="withdrawn"} 1"#), "{metrics}");
    assert_eq!(read_model.named().unwrap().unwrap(), "gen-000001");
    listed_as_withdrawn(&service.router()).await;
    service.stop().await.unwrap();
    let service = setting.serve().await;
    assert_eq!(get(&service.router(), "/status").await.ok()["generation"], "gen-000001");
    assert_eq!(get_after(&service.router(), &path(), &token).await.ok(), before);
    // Nothing of this process's own is reported, but what lies there is.
    assert_eq!(listed_as_withdrawn(&service.router()).await["refused"], Value::Null);
    service.stop().await.unwrap();
}

async fn listed_as_withdrawn(router: &Router) -> Value {
    let is_listed = |status: &Value| status["withdrawn"][0].is_object();
    let reported = status(router, "what was withdrawn", is_listed).await;
    let [withdrawn] = &reported["withdrawn"].as_array().unwrap()[..] else { panic!("{reported}") };
    assert_eq!(
        (&withdrawn["generation"], &withdrawn["served"]),
        (&json!("gen-000002"), &json!("gen-000001"))
    );
    assert!(withdrawn["why"].as_str().unwrap().contains("rebuild it"), "{reported}");
    reported
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_and_removed_is_told_no_more() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let (router, read_model) = (service.router(), ReadModel::open(&setting.data_dir()).unwrap());
    fs::create_dir_all(read_model.path_of("gen-000002").join("rows")).unwrap();
    fs::write(read_model.path_of("gen-000002").join("TORN"), "a test").unwrap();
    read_model.publish("gen-000002").unwrap();
    status(&router, "withdrawn", |status| status["next"]["state"] == "withdrawn").await;
    listed_as_withdrawn(&router).await;
    fs::remove_dir_all(read_model.path_of("gen-000002")).unwrap();
    let is_forgotten = |status: &Value| {
        status["next"].is_null() && status["refused"].is_null() && status["withdrawn"] == json!([])
    };
    status(&router, "nothing is reported of it", is_forgotten).await;
    service.stop().await.unwrap();
}

/// A start would serve it, and stop there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_record_stops_that_the_served_one_has_passed_keeps_no_start_from_what_is_right() {
    let events = [joined(1), paid_in(100, 1, 10, 1)];
    let other = Setting::new();
    let service = other.serve().await;
    let token = other.log.write_all(&events);
    get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();

    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    setting.log.write_all(&events);
    let token = setting.log.write(&paid_in(101, 1, 10, 1));
    let before = get_after(&router, &path(), &token).await.ok();
    // Of another log, in which the same events have other ids.
    copy(&other.data_dir().join("gen-000001"), &setting.data_dir().join("gen-000002"));
    ReadModel::open(&setting.data_dir()).unwrap().publish("gen-000002").unwrap();
    let reported = status(&router, "withdrawn", |status| status["next"]["state"] == "withdrawn").await;
    let refused = reported["refused"].as_str().unwrap();
    assert!(refused.contains("offset") && refused.contains("gen-000001 is past that record"), "{reported}");
    service.stop().await.unwrap();
    drop(router);
    let service = setting.serve().await;
    assert_eq!(get(&service.router(), "/status").await.ok()["generation"], "gen-000001");
    assert_eq!(get_after(&service.router(), &path(), &token).await.ok(), before);
    service.stop().await.unwrap();
}

/// The topics were made anew, and nobody sends again what was in them.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_log_that_has_less_than_is_served_what_was_accepted_takes_over() {
    let setting = made_anew_after(&[joined(1), paid_in(100, 1, 10, 1), paid_in(101, 1, 10, 1)]).await;
    // In the other partition there is more than there was.
    let neighbour = (2..).find(|owner| place(&joined(*owner)) != place(&joined(1))).unwrap();
    setting.log.write(&joined(neighbour));
    let service = setting.open_with(&setting.settings()).await;
    let router = service.router();
    status(&router, "stopped", |status| status["stopped"]["type"] == "/problems/log-went-back").await;
    let refused = replay_on(&setting, None).await.unwrap_err().to_string();
    assert!(refused.contains("gen-000001") && refused.contains("the log ends at offset 0"), "{refused}");

    let report = replay_on(&setting, Some("the topics were made anew")).await.unwrap();
    serving(&router, &report.generation).await;
    status(&router, "settled", |reported| reported["refused"].is_null() && reported["next"].is_null()).await;
    get(&router, &path()).await.problem(404);
    service.stop().await.unwrap();
}

/// A log without events, and a read model of another one that had these.
async fn made_anew_after(events: &[Happened]) -> Setting {
    let before = Setting::new();
    let service = before.serve().await;
    let token = before.log.write_all(events);
    get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    let setting = Setting::new();
    fs::create_dir(setting.data_dir()).unwrap();
    copy(&before.data_dir().join("gen-000001"), &setting.data_dir().join("gen-000001"));
    ReadModel::open(&setting.data_dir()).unwrap().publish("gen-000001").unwrap();
    setting
}

/// A claim of a writer is the first record of a topic that was made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_is_not_healed_by_the_claims_in_it() {
    let setting = made_anew_after(&[joined(1), paid_in(100, 1, 10, 1)]).await;
    for topic in TOPICS {
        for partition in 0..PARTITIONS {
            let service = topic.trim_end_matches(".events").to_owned().into();
            let claim = claim::seal(&Claim {
                id: Uuid::now_v7(),
                source: Source { service, partition },
                epoch: 1,
                writer: Writer {
                    instance: Uuid::nil(),
                    host: "a test".to_owned(),
                    claimed_at: Timestamp::UNIX_EPOCH,
                },
            });
            setting.log.write_raw((topic, partition), b"", &claim.unwrap());
        }
    }
    let service = setting.open_with(&setting.settings()).await;
    let is_caught_up = |reported: &Value| reported["ready"] == true;
    let went_back = |reported: &Value| reported["stopped"]["type"] == "/problems/log-went-back";
    let reported =
        status(&service.router(), "judged", |reported| is_caught_up(reported) || went_back(reported)).await;
    assert!(went_back(&reported), "{reported}");
    service.stop().await.unwrap();
}

async fn replay_on(setting: &Setting, accept: Option<&str>) -> Result<ReplayReport, ReplayError> {
    let (kafka, data_dir, accept) = (setting.log.kafka(), setting.data_dir(), accept.map(str::to_owned));
    tokio::task::spawn_blocking(move || {
        let read_model = ReadModel::open(&data_dir).unwrap();
        let options = ReplayOptions {
            accept_difference: accept,
            ..ReplayOptions::new(PARTITIONS, "another test".to_owned())
        };
        let never = Stop::default();
        replay(&kafka, &read_model, projection(), &options, |_| {}, &never)
    })
    .await
    .unwrap()
}

/// It has projected more of a partition that nobody answers for now.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_because_what_is_served_cannot_move_is_served_all_the_same() {
    let in_it = place(&joined(1));
    let setting = Setting::on(Log::start_two(in_it, 2));
    setting.serve().await.stop().await.unwrap();
    let first = setting.data_dir().join("gen-000001");
    let spare = setting.data_dir().with_file_name("spare");
    copy(&first, &spare);
    let service = setting.serve().await;
    let token = setting.log.write(&joined(1));
    let before = get_after(&service.router(), &path(), &token).await.ok();
    service.stop().await.unwrap();
    fs::rename(&first, setting.data_dir().join("gen-000002")).unwrap();
    fs::rename(&spare, &first).unwrap();
    setting.log.down(2);

    let service = setting.open_with(&setting.settings()).await;
    let router = service.router();
    let is_away = |status: &serde_json::Value| status["partitions_away"][0].is_string();
    assert_eq!(status(&router, "away", is_away).await["generation"], "gen-000001");
    get_with(&router, &path(), &[("daybook-after", &token), ("daybook-wait-ms", "1")]).await.problem(503);
    ReadModel::open(&setting.data_dir()).unwrap().publish("gen-000002").unwrap();
    serving(&router, "gen-000002").await;
    assert_eq!(get_after(&router, &path(), &token).await.ok(), before);
    service.stop().await.unwrap();
}
