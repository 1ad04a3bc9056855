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
async fn what_a_token_names_of_the_own_topic_is_there_or_it_is_said() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let made = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    let token = made.is(201).header("daybook-token").unwrap().to_owned();
    let after = async |call: Call, token: &str| call.header("daybook-after", token).send(&toys.router).await;
    let path = made.header("location").unwrap();
    let make = |name| Call::post("/toys", &json!({"name": name}));
    after(make("duck"), &token).await.is(201);
    after(Call::get(path), &token).await.is(200);
    // As a token does that was given by a directory which is gone.
    let (at, position) = token.split_once('@').unwrap();
    let later = format!("{at}@{}", position.parse::<u64>().unwrap() + 99);
    after(make("cat"), &later).await.is_problem(503, "not-reached-yet");
    after(Call::get(path), &later).await.is_problem(503, "not-reached-yet");
    for wrong in ["toys.events/99@0", "elsewhere.events/0@1", "toys.events"] {
        after(make("dog"), wrong).await.is_problem(400, "malformed-header");
        after(Call::get(path), wrong).await.is_problem(400, "malformed-header");
    }
}
