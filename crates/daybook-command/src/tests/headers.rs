//! Each header that means something is refused by name when it is wrong.

use serde_json::json;

use super::toy::{Toys, router};
use crate::testing::{Call, TestService, broker};

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_header_is_named() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let long = "k".repeat(201);
    for (name, value) in [
        ("idempotency-key", ""),
        ("idempotency-key", "two words"),
        ("idempotency-key", "\"\""),
        ("idempotency-key", "\"open"),
        ("idempotency-key", "\"two\" strings"),
        ("idempotency-key", "\"an \\escape\""),
        ("idempotency-key", &*long),
        ("if-match", "7"),
        ("daybook-after", "toys.events"),
        ("daybook-after", "elsewhere.events/0@1"),
        ("daybook-wait-ms", "soon"),
        ("daybook-wait-ms", "-1"),
        ("daybook-correlation-id", "x"),
    ] {
        let call = Call::post("/toys", &json!({"name": "bear"})).header(name, value);
        let refused = call.send(&toys.router).await;
        refused.is_problem(400, "malformed-header");
        assert_eq!(refused.json()["header"], name, "{value}");
    }
    let twice = Call::post("/toys", &json!({"name": "bear"}))
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    twice.send(&toys.router).await.is_problem(400, "malformed-header");
    let longest = "k".repeat(200);
    for (name, longest) in
        [("bear", longest.clone()), ("duck", format!("\"{}\"", longest.replace('k', "\\\\")))]
    {
        let fine = Call::post("/toys", &json!({"name": name})).header("idempotency-key", &longest);
        fine.send(&toys.router).await.is(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_topics_positions_are_there_by_definition() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let made = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    let token = made.is(201).header("daybook-token").unwrap().to_owned();
    let next = Call::post("/toys", &json!({"name": "duck"})).header("daybook-after", &token);
    next.send(&toys.router).await.is(201);
}
