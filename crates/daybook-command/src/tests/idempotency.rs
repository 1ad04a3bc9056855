//! Idempotency keys: one key, one command, one answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Barrier;

use super::toy::{Toys, router};
use crate::commit::idempotency::{IdempotencyKey, RequestParts};
use crate::testing::{Call, Log, TestService, broker};

fn make(name: &str, key: &str) -> Call {
    Call::post("/toys", &json!({"name": name})).header("idempotency-key", key)
}

/// Makes a toy with the body spelled like this.
fn spelled(body: &str, key: &str) -> Call {
    make("", key).body(body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_first_answer_again() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let first = make("bear", "k1").send(&toys.router).await;
    let again = make("bear", "k1").send(&toys.router).await;
    assert_eq!((&first.is(201).body, &first.headers), (&again.body, &again.headers));
    let refused = make("bear", "k2").send(&toys.router).await;
    refused.is_problem(409, "name-taken");
    // The name becomes free, and the answer stays what it was.
    let path = format!("/toys/{}", again.text("toy_id"));
    Call::delete(&path).header("idempotency-key", "k3").send(&toys.router).await.is(204);
    let lost = Call::delete(&path).header("idempotency-key", "k3").send(&toys.router).await;
    assert!(lost.is(204).header("daybook-token").is_some());
    make("bear", "k2").send(&toys.router).await.is_problem(409, "name-taken");
    toys.restart(|_| {}).unwrap();
    make("bear", "k2").send(&toys.router).await.is_problem(409, "name-taken");
    make("bear", "k4").send(&toys.router).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let first = make("bear", "k1").send(&toys.router).await;
    let path = format!("/toys/{}", first.is(201).text("toy_id"));
    make("duck", "k1").send(&toys.router).await.is_problem(422, "idempotency-key-reused");
    Call::delete(&path)
        .header("idempotency-key", "k1")
        .send(&toys.router)
        .await
        .is_problem(422, "idempotency-key-reused");
    make("bear", "k1")
        .header("if-match", "\"1\"")
        .send(&toys.router)
        .await
        .is_problem(422, "idempotency-key-reused");
    make("bear", "k1").send(&toys.router).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_json_spelled_otherwise_is_the_same_request() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let first = make("bear", "k1").send(&toys.router).await;
    for body in ["{ \"name\" :\t\"bear\" }\n", "{\"na\\u006de\":\"\\u0062ear\"}"] {
        let again = spelled(body, "k1").send(&toys.router).await;
        assert_eq!((&first.is(201).body, &first.headers), (&again.is(201).body, &again.headers), "{body}");
    }
    spelled("{\"name\":\"Bear\"}", "k1").send(&toys.router).await.is_problem(422, "idempotency-key-reused");
    let twice = spelled("{\"name\":\"bear\",\"name\":\"bear\"}", "k1").send(&toys.router).await;
    twice.is_problem(422, "invalid-body").names("name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_quotes_and_the_bare_one_are_one_key() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let first = make("bear", "k1").send(&toys.router).await;
    let quoted = make("bear", "\"k1\"").send(&toys.router).await;
    assert_eq!(first.is(201).body, quoted.is(201).body);
    let spaced = make("duck", "\"a key \\\"of\\\" four \\\\ words\"").send(&toys.router).await;
    let again = make("duck", "\"a key \\\"of\\\" four \\\\ words\"").send(&toys.router).await;
    assert_eq!(spaced.is(201).body, again.is(201).body);
    // A bare key with a quote within is what it was, and so is the same one in quotes.
    let within = make("fox", "a\"b").send(&toys.router).await;
    let escaped = make("fox", "\"a\\\"b\"").send(&toys.router).await;
    assert_eq!(within.is(201).body, escaped.is(201).body);
    // With quotes as a part of it, it is another key, although its text is a header that was looked up before.
    make("owl", "\"\\\"k2\\\"\"").send(&toys.router).await.is(201);
    make("elk", "\"k2\"").send(&toys.router).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_do_not_use_up_a_key() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    Call::post("/toys", &json!({"name": 7}))
        .header("idempotency-key", "k1")
        .send(&toys.router)
        .await
        .is_problem(422, "invalid-body");
    make("bear", "k1").send(&toys.router).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_clients_with_one_key_make_one_event() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let barrier = Arc::new(Barrier::new(16));
    let send = |_| {
        let (barrier, router) = (Arc::clone(&barrier), toys.router.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            make("bear", "k1").send(&router).await
        })
    };
    let sent: Vec<_> = (0..16).map(send).collect();
    let mut made = Vec::new();
    for reply in sent {
        let reply = reply.await.unwrap();
        if reply.status == 409 {
            reply.is_problem(409, "request-in-flight");
        } else {
            made.push(reply.is(201).body.clone());
        }
    }
    assert!(!made.is_empty() && made.iter().all(|body| *body == made[0]), "{made:?}");
    make("bear", "k1").send(&toys.router).await.is(201);
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_being_worked_on_is_refused() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let body = &json!({"name": "bear"}).to_string();
    let request = RequestParts { method: "POST", path: "/toys", condition: b"", body: body.as_bytes() };
    let key = IdempotencyKey::new("k1", "k1", &request);
    let held = toys.service().in_flight.hold(&key).unwrap();
    make("bear", "k1").send(&toys.router).await.is_problem(409, "request-in-flight");
    spelled("{ \"name\": \"be\\u0061r\" }", "k1")
        .send(&toys.router)
        .await
        .is_problem(409, "request-in-flight");
    // It can never get the answer to that one.
    make("duck", "k1").send(&toys.router).await.is_problem(422, "idempotency-key-reused");
    spelled("{\"name\": ", "k1").send(&toys.router).await.is_problem(400, "malformed-body");
    make("duck", "k2").send(&toys.router).await.is(201);
    drop(held);
    make("bear", "k1").send(&toys.router).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_when_its_time_is_over() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.idempotency_age_max = Duration::ZERO;
    });
    make("bear", "k1").send(&toys.router).await.is(201);
    make("bear", "k1").send(&toys.router).await.is_problem(409, "name-taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_keys_are_refused_while_all_are_young_and_none_is_forgotten() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.idempotency_keys_max = 3;
    });
    for number in 0..3 {
        make(&format!("toy {number}"), &format!("key-{number}")).send(&toys.router).await.is(201);
    }
    for _ in 0..2 {
        let full = make("duck", "key-3").send(&toys.router).await;
        full.is_problem(503, "idempotency-keys-full");
        assert_eq!(full.header("retry-after"), Some("1"));
        // Those that are remembered get their answers, and whoever does not ask for one is served.
        make("toy 0", "key-0").send(&toys.router).await.is(201);
        Call::post("/toys", &json!({"name": "toy 0"})).send(&toys.router).await.is_problem(409, "name-taken");
        // They are counted again.
        toys.restart(|_| {}).unwrap();
    }
    assert_eq!(toys.service().journal.keys(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_keys_the_oldest_are_forgotten_once_they_are_old_enough() {
    for keys_max in [1, 8] {
        let broker = broker();
        let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
            settings.limits.idempotency_keys_max = keys_max;
            settings.limits.idempotency_age_min = Duration::ZERO;
        });
        for number in 0..30 {
            make(&format!("toy {number}"), &format!("key-{number}")).send(&toys.router).await.is(201);
            assert!(toys.service().journal.keys() as u64 <= keys_max, "at {number}");
        }
        // Forgotten, and so decided again.
        make("toy 0", "key-0").send(&toys.router).await.is_problem(409, "name-taken");
    }
}

/// What is forgotten came in ones, what comes instead comes in groups.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_refused_in_a_burst_while_those_before_it_are_old_enough() {
    const KEYS_MAX: u64 = 600;
    const CLIENTS: usize = 64;
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.idempotency_keys_max = KEYS_MAX;
        settings.limits.idempotency_age_min = Duration::ZERO;
    });
    for number in 0..KEYS_MAX {
        make(&format!("early {number}"), &format!("early-{number}")).send(&toys.router).await.is(201);
    }
    let client = |client: usize| {
        let router = toys.router.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                let name = format!("{client}-{number}");
                make(&name, &name).send(&router).await.is(201);
            }
        })
    };
    for client in (0..CLIENTS).map(client).collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert!(toys.service().journal.keys() as u64 <= KEYS_MAX);
}
