//! Status, health and metrics.

use std::time::Duration;

use daybook_query::Settings;
use serde_json::{Value, json};

use crate::http::{get, get_after, get_with};
use crate::log::Log;
use crate::served::{id, joined, layout, paid_in};
use crate::setting::{Setting, status};

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_every_member_and_lag_falls_to_zero() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[joined(1), paid_in(100, 1, 10, 1)]);
    get_after(&service.router(), "/funds", &token).await.ok();
    let caught_up = |status: &Value| {
        let ends = status["partitions"].as_array().unwrap().iter().filter_map(|at| at["end_offset"].as_i64());
        ends.sum::<i64>() == 2 && status["lag_total"] == 0 && status["bytes_on_disk"].is_u64()
    };
    let status = status(&service.router(), "end offsets", caught_up).await;
    assert_eq!(status["generation"], "gen-000001");
    assert_eq!(status["layout"], layout().to_string());
    assert_eq!(
        (&status["state"], &status["stopped"], &status["ready"]),
        (&json!("following"), &Value::Null, &json!(true))
    );
    assert_eq!((&status["rebuild"], &status["quarantine"]), (&Value::Null, &json!([])));
    assert!(status["last_event_age_ms"].as_i64().unwrap() > 0);
    assert!(status["bytes_on_disk"].as_u64().unwrap() > 0);
    let partitions = status["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 6);
    let (topic, partition) = crate::log::place(&joined(1));
    let owners = partitions.iter().find(|at| at["topic"] == topic && at["partition"] == partition).unwrap();
    let expected = json!({ "topic": topic, "partition": partition, "checkpoint": 1, "end_offset": 1, "lag": 0, "position": 0, "end_unproven": false });
    assert_eq!(*owners, expected);
    let empty = partitions.iter().find(|at| at["topic"] == "funds.events").unwrap();
    assert_eq!((&empty["checkpoint"], &empty["position"]), (&json!(0), &Value::Null));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_nobody_answers_for_is_named_and_the_others_are_fresh() {
    let place = |owner: u128| crate::log::place(&joined(owner));
    let in_it = place(1);
    let other = (2..).find(|owner| place(*owner) != in_it).unwrap();
    let setting = Setting::on(Log::start_two(in_it, 2));
    let service = setting.serve().await;
    setting.log.write(&joined(1));
    service.stop().await.unwrap();
    setting.log.down(2);

    let settings = Settings { catch_up_max: Duration::from_millis(300), ..setting.settings() };
    let service = setting.serve_with(&settings).await;
    let router = service.router();
    let is_away = |status: &Value| status["partitions_away"].as_array().is_some_and(|all| all.len() == 1);
    let reported = status(&router, "away", is_away).await;
    let sentence = format!("{} partition {} gets no answer", in_it.0, in_it.1);
    assert!(reported["partitions_away"][0].as_str().unwrap().contains(&sentence), "{reported}");
    assert_eq!(
        (&reported["state"], &reported["stopped"], &reported["ready"]),
        (&json!("following"), &Value::Null, &json!(true))
    );
    let ready = get(&router, "/health/ready").await;
    assert!(ready.status == 200 && ready.text.contains(&sentence), "{}", ready.text);
    let metrics = get(&router, "/metrics").await.text;
    assert!(metrics.contains("daybook_partitions_away 1\n"), "{metrics}");

    let token = setting.log.write(&joined(other));
    get_after(&router, &format!("/owners/{}/deposits", id(other)), &token).await.ok();
    let known = |status: &Value| {
        let lags = status["partitions"].as_array().unwrap().iter().filter(|at| at["lag"] == 0).count();
        lags == 5 && status["lag_total"].is_null()
    };
    status(&router, "the lag of the others", known).await;
    let later = format!("{}/{}@1", in_it.0, in_it.1);
    let path = format!("/owners/{}/deposits", id(1));
    let after = [("daybook-after", later.as_str()), ("daybook-wait-ms", "10")];
    let refused = get_with(&router, &path, &after).await.problem(503);
    assert!(
        refused["detail"].as_str().unwrap().contains("no broker answers for owners.events/"),
        "{refused}"
    );

    setting.log.up(2);
    let token = setting.log.write(&joined(1));
    get_after(&router, &path, &token).await.ok();
    status(&router, "all are back", |status| {
        status["partitions_away"] == json!([]) && status["lag_total"] == 0
    })
    .await;
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_by_route() {
    let setting = Setting::new();
    let service = setting.serve().await;
    for path in ["/funds", "/funds/x", "/nothing", "/owners/7/deposits"] {
        get(&service.router(), path).await;
    }
    let metrics = get(&service.router(), "/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        r#"daybook_http_requests_total{method="GET",route="/funds",status="200"} 1"#,
        r#"daybook_http_requests_total{method="GET",route="/funds/{fund_id}",status="400"} 1"#,
        r#"daybook_http_requests_total{method="GET",route="/owners/{owner_id}/deposits",status="400"} 1"#,
        r#"daybook_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"daybook_stopped{reason=""} 0"#,
        r#"daybook_http_request_duration_seconds_count{method="GET",route="/funds"} 1"#,
        "daybook_ready 1",
        r#"daybook_checkpoint_offset{topic="deposits.events",partition="0"} 0"#,
    ] {
        assert!(metrics.text.contains(line), "{line} is not in\n{}", metrics.text);
    }
    service.stop().await.unwrap();
}
