//! Answers while events of some keys wait: they go on, and say what is missing.
//! With the shop: what an answer depends on is what its joins have read.

use std::fs;

use axum::Router;
use daybook_event::Event as _;
use daybook_event::event_data::{DataError, EventData, unknown_type};
use daybook_projection::quarantine::{PARKED_EVENTS_PER_KEY_MAX, PARKED_RECORD_BYTES_MAX, leave_out};
use daybook_projection::{Generation, ReadModel, ReplayError};
use schemas::ShopEvent;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::events::{created, id, placed, signed_up, user_deleted};
use crate::http::{Answer, get, get_after, get_with};
use crate::log::{Log, place};
use crate::setting::{Setting, replayed, status};

/// An event that says of itself to be of a type that nobody knows.
struct Unknown<'e>(&'e ShopEvent);

impl EventData for Unknown<'_> {
    fn event_type(&self) -> &'static str {
        "shop.nobody.knows.v1"
    }
    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        self.0.to_data()
    }
    fn from_data(event_type: &str, _data: &RawValue) -> Result<Self, DataError> {
        Err(unknown_type(event_type, &[]))
    }
}

fn write_unknown(log: &Log, event: &ShopEvent) -> String {
    log.write_to(place(event).0, event.key(), &Unknown(event))
}

async fn parked(router: &Router, keys: usize) -> Value {
    status(router, "keys are parked", |status| status["quarantine_keys"] == keys).await
}

#[track_caller]
fn assert_marked(answer: &Answer, key: u128) {
    let key = id(key).to_string();
    assert_eq!(answer.header("daybook-quarantined"), key);
    assert_eq!(answer.json()["quarantined"], json!([key]));
}

#[track_caller]
fn assert_not_marked(answer: &Answer) {
    assert!(!answer.headers.contains_key("daybook-quarantined"), "{:?}", answer.headers);
    assert_eq!(answer.json().get("quarantined"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_metrics_tell_what_waits() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    setting.log.write_all(&[created(10, "pants", None), created(11, "mug", None)]);
    write_unknown(&setting.log, &created(10, "trousers", None));
    setting.log.write(&created(10, "slacks", None));
    let status = status(&router, "two events wait", |status| status["quarantine_events"] == 2).await;
    assert_eq!((&status["state"], &status["quarantine_keys"]), (&json!("following"), &json!(1)));
    let [key] = &status["quarantine"].as_array().unwrap()[..] else { panic!("{status}") };
    assert_eq!((&key["key"], &key["topic"]), (&json!(id(10)), &json!("products.events")));
    assert_eq!((&key["waiting"], &key["partition"]), (&json!(2), &json!(place(&created(10, "", None)).1)));
    assert!(key["event_id"].is_string() && key["since_position"].is_u64(), "{key}");
    assert!(key["reason"].as_str().unwrap().contains("shop.nobody.knows.v1"), "{key}");
    let metrics = get(&router, "/metrics").await.text;
    assert!(metrics.contains("daybook_quarantined_keys 1\n"), "{metrics}");
    assert!(metrics.contains("daybook_quarantined_events 2\n"), "{metrics}");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_depend_on_a_parked_key_are_marked_and_no_others() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let token = setting.log.write_all(&[
        signed_up(1),
        signed_up(2),
        created(10, "pants", None),
        created(11, "mug", None),
        placed(100, 1, 10, 1),
        placed(101, 2, 11, 1),
    ]);
    for path in ["/products".to_owned(), format!("/users/{}/orders", id(1))] {
        assert_not_marked(&get_after(&router, &path, &token).await);
    }
    write_unknown(&setting.log, &created(10, "trousers", None));
    parked(&router, 1).await;
    for shown in ["products", "orders"] {
        assert_marked(&get(&router, &format!("/users/{}/{shown}", id(1))).await, 10);
        assert_not_marked(&get(&router, &format!("/users/{}/{shown}", id(2))).await);
    }
    assert_marked(&get(&router, &format!("/products/{}", id(10))).await, 10);
    assert_not_marked(&get(&router, &format!("/products/{}", id(11))).await);
    // A list depends on what would stand on its page.
    assert_marked(&get(&router, "/products").await, 10);
    assert_marked(&get(&router, "/products?limit=1").await, 10);
    let first = get(&router, "/products?limit=1").await.json();
    let second = format!("/products?cursor={}", first["next"].as_str().unwrap());
    assert_not_marked(&get(&router, &second).await);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_events_wait_is_marked_also_when_unknown() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    write_unknown(&setting.log, &signed_up(1));
    parked(&router, 1).await;
    let answer = get(&router, &format!("/users/{}/orders", id(1))).await;
    answer.problem(404);
    assert_marked(&answer, 1);
    // The orders of another one.
    setting.log.write(&signed_up(2));
    write_unknown(&setting.log, &placed(100, 2, 10, 1));
    parked(&router, 2).await;
    assert_marked(&get(&router, &format!("/users/{}/products", id(2))).await, 2);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_event_that_waits_is_not_reached() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let path = format!("/users/{}/orders", id(1));
    let before = setting.log.write(&signed_up(1));
    write_unknown(&setting.log, &user_deleted(1));
    let token = setting.log.write(&user_deleted(1));
    // Before the second event is read, the answer would be that it is not projected yet.
    status(&router, "both events wait", |status| status["quarantine_events"] == 2).await;
    let headers = [("daybook-after", token.as_str()), ("daybook-wait-ms", "10")];
    let answer = get_with(&router, &path, &headers).await;
    assert_eq!(answer.problem(503)["type"], "/problems/quarantined");
    assert_marked(&answer, 1);
    // What an answer rests on is reached by whoever asks again, so it names no event that waits.
    let answer = get_after(&router, &path, &before).await;
    assert_eq!(answer.header("daybook-as-of"), before);
    assert_marked(&answer, 1);
    service.stop().await.unwrap();
}

/// The file beside the generations is the only one that says what a replay is to leave out.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_and_named_nowhere_is_told_while_it_lasts() {
    let setting = Setting::new();
    let service = setting.serve().await;
    write_unknown(&setting.log, &signed_up(1));
    parked(&service.router(), 1).await;
    service.stop().await.unwrap();
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let path = read_model.path_of("gen-000001");
    let generation = Generation::open(&path, &projector::layout(), "a test").unwrap();
    let (topic, partition) = place(&signed_up(1));
    let name = format!("{topic}/{partition}@0").parse().unwrap();
    let event = generation.quarantine().find(&name, "a test", "now").unwrap();
    let skipped = read_model.note_skipped(event).unwrap();
    leave_out(&generation, projector::projection(), skipped).unwrap();
    drop(generation);
    let service = setting.serve().await;
    left_out(&service.router(), 0).await;
    let (file, kept) = (setting.data_dir().join("SKIPPED"), setting.data_dir().with_file_name("kept"));
    fs::rename(&file, &kept).unwrap();
    left_out(&service.router(), 1).await;
    service.stop().await.unwrap();
    for _ in 0..2 {
        let service = setting.serve().await;
        left_out(&service.router(), 1).await;
        service.stop().await.unwrap();
    }
    // As it is reported: a replay does otherwise.
    let differs = replayed(&setting, None).await.unwrap_err();
    assert!(matches!(differs, ReplayError::Differs { .. }), "{differs}");
    let service = setting.serve().await;
    fs::rename(&kept, &file).unwrap();
    left_out(&service.router(), 0).await;
    service.stop().await.unwrap();
}

/// One event is left out, of which so many are not named.
async fn left_out(router: &Router, unnamed: usize) {
    let reported = status(router, "what is left out", |status| status["skipped_unnamed"] == unnamed).await;
    assert_eq!((&reported["skipped_events"], &reported["quarantine_events"]), (&json!(1), &json!(0)));
    let metrics = get(router, "/metrics").await.text;
    assert!(metrics.contains(&format!("daybook_skipped_unnamed {unnamed}\n")), "{metrics}");
}

/// What keeps a record from waiting, so that the projection stops at it.
#[derive(Debug, Clone, Copy)]
enum Second {
    /// It lies behind a gap.
    Gap,
    /// So many events of its key wait already.
    KeyIsFull,
    /// It is too large.
    TooLarge,
}

impl Second {
    fn write(self, log: &Log) -> &'static str {
        match self {
            Self::Gap => {
                log.skip_positions(&signed_up(1), 1);
                log.write(&signed_up(1));
                "gap"
            }
            Self::KeyIsFull => {
                log.write_all(&vec![signed_up(1); usize::try_from(PARKED_EVENTS_PER_KEY_MAX).unwrap()]);
                "quarantine-full"
            }
            Self::TooLarge => {
                write_unknown(log, &created(10, &"x".repeat(PARKED_RECORD_BYTES_MAX), None));
                "unknown-event"
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_also_after_a_restart_that_stops_at_another_record() {
    for second in [Second::Gap, Second::KeyIsFull, Second::TooLarge] {
        let setting = Setting::new();
        let service = setting.serve().await;
        write_unknown(&setting.log, &signed_up(1));
        parked(&service.router(), 1).await;
        let stopped_at = format!("/problems/{}", second.write(&setting.log));
        let is_stopped = |status: &Value| status["stopped"]["type"] == stopped_at;
        let reported = status(&service.router(), "stopped", is_stopped).await;
        assert_eq!(
            (&reported["quarantine"][0]["key"], &reported["quarantine_keys"]),
            (&json!(id(1)), &json!(1))
        );
        service.stop().await.unwrap();
        for _ in 0..2 {
            let service = setting.open_with(&setting.settings()).await;
            let again = status(&service.router(), "stopped", is_stopped).await;
            assert_eq!(again["quarantine"], reported["quarantine"], "{second:?}");
            service.stop().await.unwrap();
        }
    }
}
