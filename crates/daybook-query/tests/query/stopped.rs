//! A projection that stopped: answers go on from the last good state, and say so.

use std::fs;
use std::os::unix::fs::FileExt as _;

use daybook_projection::ReadModel;
use daybook_query::Settings;
use serde_json::{Value, json};

use crate::http::{get, get_after, get_with};
use crate::log::Log;
use crate::served::{Happened, id, joined, launched, paid_in};
use crate::setting::{Setting, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_stops_the_projection_while_queries_go_on() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    let path = format!("/owners/{}/deposits", id(1));
    let before = get_after(&router, &path, &token).await;
    setting.log.skip_positions(&paid_in(101, 1, 10, 1), 1);
    let lost = setting.log.write(&paid_in(101, 1, 10, 1));
    let status = status(&router, "stopped", |status| status["state"] == "stopped").await;
    let stopped = &status["stopped"];
    assert_eq!(stopped["type"], "/problems/gap");
    assert_eq!((&stopped["topic"], &stopped["offset"]), (&json!("deposits.events"), &json!(1)));
    let event_id = stopped["event_id"].as_str().unwrap();
    let detail = stopped["detail"].as_str().unwrap();
    assert!(detail.contains("position 1 was expected, 2 was found") && detail.contains(event_id), "{detail}");

    let after = get(&router, &path).await;
    assert_eq!(
        (after.text.as_str(), after.header("daybook-as-of")),
        (before.text.as_str(), before.header("daybook-as-of"))
    );
    get_with(&router, &path, &[("daybook-after", &lost), ("daybook-wait-ms", "10")]).await.problem(503);
    let readiness = get(&router, "/health/ready").await;
    assert_eq!(readiness.status, 200);
    assert!(readiness.text.contains(&format!("stopped: {detail}")), "{}", readiness.text);
    let metrics = get(&router, "/metrics").await.text;
    assert!(metrics.contains(r#"daybook_stopped{reason="gap"} 1"#), "{metrics}");
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lacks_what_was_projected_is_told_with_the_settings_that_name_it() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    get_after(&service.router(), "/funds", &token).await.ok();
    service.stop().await.unwrap();
    let (empty, other, none) = (Log::start(), Log::start(), Log::without_topics());
    other.write_all(&[joined(1), joined(1), paid_in(101, 1, 10, 1), paid_in(102, 1, 10, 1)]);
    for (log, says) in [
        (&empty, "projected further"),
        (&other, "is not what the service wrote"),
        (&none, "does not exist any more"),
    ] {
        let settings = Settings { kafka: log.kafka(), ..setting.settings() };
        let service = setting.open_with(&settings).await;
        let told = status(&service.router(), says, |status| status["state"] == "stopped").await;
        let detail = told["stopped"]["detail"].as_str().unwrap();
        assert!(detail.contains(says) && detail.contains("--brokers or --topic-prefix"), "{detail}");
        service.stop().await.unwrap();
    }
    let elsewhere = Setting::on(none);
    let service = elsewhere.try_start(&elsewhere.settings()).await.unwrap();
    let told = status(&service.router(), "why", |status| status["build_trouble"].is_string()).await;
    let trouble = told["build_trouble"].as_str().unwrap();
    assert!(
        trouble.contains("does not exist") && trouble.contains("--brokers or --topic-prefix"),
        "{trouble}"
    );
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_the_same_after_a_restart() {
    let setting = Setting::new();
    let service = setting.serve().await;
    setting.log.skip_positions(&joined(1), 1);
    setting.log.write(&joined(1));
    status(&service.router(), "stopped", |status| status["state"] == "stopped").await;
    service.stop().await.unwrap();
    let service = setting.serve().await;
    let status = status(&service.router(), "stopped", |status| status["state"] == "stopped").await;
    assert_eq!(status["stopped"]["type"], "/problems/gap");
    assert_ne!(status["generation"], Value::Null);
    get(&service.router(), "/funds").await.ok();
    service.stop().await.unwrap();
}

/// With their titles so many bytes that sled does not look at all of them when it is opened.
const FUNDS: u128 = 9_000;
const DAMAGED: u128 = 2_000;
/// Ticks of the generation manager, four a second, in which it would have probed a disk and opened the generation afresh.
const LOOKS: usize = 12;

fn title(fund: u128) -> String {
    format!("the title of fund {fund} {}", "x".repeat(100))
}

pub(crate) fn retitled(fund: u128, title: &str) -> Happened {
    launched(fund, title, None)
}

/// One bit of wherever the bytes lie in the file, as a bad sector would have it.
pub(crate) fn damage(rows: &std::path::Path, bytes: &[u8]) {
    let stored = fs::read(rows).unwrap();
    let places: Vec<_> =
        (0..stored.len() - bytes.len()).filter(|at| stored[*at..].starts_with(bytes)).collect();
    assert!(!places.is_empty());
    // In its place: somebody may have the file open.
    let file = fs::File::options().write(true).open(rows).unwrap();
    places.into_iter().for_each(|at| file.write_all_at(&[stored[at] ^ 1], at as u64).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_stops_the_projection_and_nothing_else() {
    let setting = Setting::new();
    let events: Vec<_> = (1..=FUNDS).map(|fund| launched(fund, &title(fund), None)).collect();
    setting.log.write_all(&events);
    setting.serve().await.stop().await.unwrap();
    damage(&setting.data_dir().join("gen-000001/rows/db"), title(DAMAGED).as_bytes());
    let service = setting.serve().await;
    let router = service.router();
    setting.log.write(&retitled(DAMAGED, "another"));
    let stopped = status(&router, "stopped", |status| status["state"] == "stopped").await;
    assert_eq!(stopped["stopped"]["type"], "/problems/store-fails");
    // Each of them is reported once the generation manager has ticked again.
    let names = ["gen-000002", "gen-000003"];
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    for name in names {
        fs::create_dir_all(read_model.path_of(name).join("rows")).unwrap();
        fs::write(read_model.path_of(name).join("LAYOUT"), "another one").unwrap();
    }
    for name in names.into_iter().cycle().take(LOOKS) {
        read_model.publish(name).unwrap();
        let refused = |told: &Value| told["next"]["generation"] == name && told["next"]["state"] == "refused";
        let told = status(&router, "refused", refused).await;
        assert_eq!((&told["state"], &told["generation"]), (&json!("stopped"), &json!("gen-000001")));
    }
    get(&router, &format!("/funds/{}", id(1))).await.ok();
    get(&router, &format!("/funds/{}", id(DAMAGED))).await.problem(500);
    assert_eq!(get(&router, "/health/ready").await.status, 200);
    service.stop().await.unwrap();
}
