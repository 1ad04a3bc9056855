//! Status, health and metrics.

use serde_json::{Value, json};

use crate::events::{placed, signed_up};
use crate::http::{get, get_after};
use crate::setting::{Setting, status};

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_every_member_and_lag_falls_to_zero() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let token = setting.log.write_all(&[signed_up(1), placed(100, 1, 10, 1)]);
    get_after(&service.router(), "/products", &token).await.ok();
    let caught_up = |status: &Value| {
        let ends = status["partitions"].as_array().unwrap().iter().filter_map(|at| at["end_offset"].as_i64());
        ends.sum::<i64>() == 2 && status["lag_total"] == 0
    };
    let status = status(&service.router(), "end offsets", caught_up).await;
    assert_eq!(status["generation"], "gen-000001");
    assert_eq!(status["layout"], projector::shop::layout().to_string());
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
    let expected = json!({ "topic": topic, "partition": partition, "checkpoint": 1, "end_offset": 1, "lag": 0, "position": 0 });
    assert_eq!(*users, expected);
    let empty = partitions.iter().find(|at| at["topic"] == "products.events").unwrap();
    assert_eq!((&empty["checkpoint"], &empty["position"]), (&json!(0), &Value::Null));
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
        r#"daybook_query_http_requests_total{route="/products",status="200"} 1"#,
        r#"daybook_query_http_requests_total{route="/products/{product_id}",status="400"} 1"#,
        r#"daybook_query_http_requests_total{route="/users/{user_id}/orders",status="400"} 1"#,
        r#"daybook_query_http_requests_total{route="none",status="404"} 1"#,
        r#"daybook_query_stopped{reason=""} 0"#,
        "daybook_query_ready 1",
        r#"daybook_query_checkpoint_offset{topic="orders.events",partition="0"} 0"#,
    ] {
        assert!(metrics.text.contains(line), "{line} is not in\n{}", metrics.text);
    }
    service.stop().await.unwrap();
}
