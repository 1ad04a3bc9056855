//! Status, health and metrics.

use std::time::Duration;

use daybook_query::Settings;
use serde_json::{Value, json};

use crate::events::{id, placed, signed_up};
use crate::http::{get, get_after, get_with};
use crate::log::Log;
use crate::setting::{Setting, status};

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_every_member_and_lag_falls_to_zero() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[signed_up(1), placed(100, 1, 10, 1)]);
    get_after(&service.router(), "/products", &token).await.ok();
    let caught_up = |status: &Value| {
        let ends = status["partitions"].as_array().unwrap().iter().filter_map(|at| at["end_offset"].as_i64());
        ends.sum::<i64>() == 2 && status["lag_total"] == 0 && status["bytes_on_disk"].is_u64()
    };
    let status = status(&service.router(), "end offsets", caught_up).await;
    assert_eq!(status["generation"], "gen-000001");
    assert_eq!(status["layout"], projector::layout().to_string());
    assert_eq!(
        (&status["state"], &status["stopped"], &status["ready"]),
        (&json!("following"), &Value::Null, &json!(true))
    );
    assert_eq!((&status["rebuild"], &status["quarantine"]), (&Value::Null, &json!([])));
    assert!(status["last_event_age_ms"].as_i64().unwrap() > 0);
    assert!(status["bytes_on_disk"].as_u64().unwrap() > 0);
    let partitions = status["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 6);
    let (topic, partition) = crate::log::place(&signed_up(1));
    let users = partitions.iter().find(|at| at["topic"] == topic && at["partition"] == partition).unwrap();
    let expected = json!({ "topic": topic, "partition": partition, "checkpoint": 1, "end_offset": 1, "lag": 0, "position": 0, "end_unproven": false });
    assert_eq!(*users, expected);
    let empty = partitions.iter().find(|at| at["topic"] == "products.events").unwrap();
    assert_eq!((&empty["checkpoint"], &empty["position"]), (&json!(0), &Value::Null));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_nobody_answers_for_is_named_and_the_others_are_fresh() {
    let place = |user: u128| crate::log::place(&signed_up(user));
    let in_it = place(1);
    let other = (2..).find(|user| place(*user) != in_it).unwrap();
    let setting = Setting::on(Log::start_two(in_it, 2));
    let service = setting.serve().await;
    setting.log.write(&signed_up(1));
    service.stop().await.unwrap();
    setting.log.down(2);

    let settings = Settings { catch_up_max: Duration::from_millis(300), ..setting.settings() };
    let service = setting.serve_with(&settings).await;
    let router = service.router();
    let is_away = |status: &Value| status["partitions_away"].as_array().is_some_and(|all| all.len() == 1);
    let told = status(&router, "away", is_away).await;
    let sentence = format!("{} partition {} is not answered for", in_it.0, in_it.1);
    assert!(told["partitions_away"][0].as_str().unwrap().contains(&sentence), "{told}");
    assert_eq!(
        (&told["state"], &told["stopped"], &told["ready"]),
        (&json!("following"), &Value::Null, &json!(true))
    );
    let ready = get(&router, "/health/ready").await;
    assert!(ready.status == 200 && ready.text.contains(&sentence), "{}", ready.text);
    let metrics = get(&router, "/metrics").await.text;
    assert!(metrics.contains("daybook_partitions_away 1\n"), "{metrics}");

    let token = setting.log.write(&signed_up(other));
    get_after(&router, &format!("/users/{}/orders", id(other)), &token).await.ok();
    let known = |status: &Value| {
        let lags = status["partitions"].as_array().unwrap().iter().filter(|at| at["lag"] == 0).count();
        lags == 5 && status["lag_total"].is_null()
    };
    status(&router, "the lag of the others", known).await;
    let later = format!("{}/{}@1", in_it.0, in_it.1);
    let path = format!("/users/{}/orders", id(1));
    let after = [("daybook-after", later.as_str()), ("daybook-wait-ms", "10")];
    let refused = get_with(&router, &path, &after).await.problem(503);
    assert!(refused["detail"].as_str().unwrap().contains("no broker answers for users.events/"), "{refused}");

    setting.log.up(2);
    let token = setting.log.write(&signed_up(1));
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
    for path in ["/products", "/products/x", "/nothing", "/users/7/orders"] {
        get(&service.router(), path).await;
    }
    let metrics = get(&service.router(), "/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        r#"daybook_http_requests_total{method="GET",route="/products",status="200"} 1"#,
        r#"daybook_http_requests_total{method="GET",route="/products/{product_id}",status="400"} 1"#,
        r#"daybook_http_requests_total{method="GET",route="/users/{user_id}/orders",status="400"} 1"#,
        r#"daybook_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"daybook_stopped{reason=""} 0"#,
        r#"daybook_http_request_duration_seconds_count{method="GET",route="/products"} 1"#,
        "daybook_ready 1",
        r#"daybook_checkpoint_offset{topic="orders.events",partition="0"} 0"#,
    ] {
        assert!(metrics.text.contains(line), "{line} is not in\n{}", metrics.text);
    }
    service.stop().await.unwrap();
}
