//! Commands through the router: versions, races, faults, bounds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Barrier;

use super::toy::{Toys, router};
use crate::AnswerAfter;
use crate::testing::{Call, Log, PARTITIONS, Reply, TestService, broker, eventually, figure, kafka_is_away};

async fn make(toys: &TestService<Toys>, name: &str) -> String {
    let made = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
    format!("/toys/{}", made.is(201).text("toy_id"))
}

fn paint(path: &str, coats: u64) -> Call {
    Call::patch(path, &json!({"coats": coats}))
}

/// Sends all calls at the same moment.
async fn at_once(toys: &TestService<Toys>, calls: Vec<Call>) -> Vec<Reply> {
    let barrier = Arc::new(Barrier::new(calls.len()));
    let send = |call: Call| {
        let (barrier, router) = (Arc::clone(&barrier), toys.router.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            call.send(&router).await
        })
    };
    let sent: Vec<_> = calls.into_iter().map(send).collect();
    let mut replies = Vec::new();
    for reply in sent {
        replies.push(reply.await.unwrap());
    }
    replies
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_the_version_is_kept() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let path = make(&toys, "bear").await;
    let on = async |condition: &str| paint(&path, 1).header("if-match", condition).send(&toys.router).await;
    on("\"1\"").await.is(200);
    on("\"1\"").await.is_problem(412, "precondition-failed");
    on("\"1\", \"2\"").await.is(200);
    on("*").await.is(200);
    let stale = Call::delete(&path).header("if-match", "\"1\"").send(&toys.router).await;
    assert_eq!(stale.is_problem(412, "precondition-failed").json()["version"], 4);
    // Valid tags, none of which is this version's: weak, foreign, of another spelling.
    for other in ["W/\"4\"", "\"four\"", "\"04\"", "\"5\","] {
        on(other).await.is_problem(412, "precondition-failed");
    }
    for wrong in ["4", "", ",", "*,\"4\"", "\"4"] {
        on(wrong).await.is_problem(400, "malformed-header");
    }
    let lines = paint(&path, 1).header("if-match", "\"1\"").header("if-match", ", \"4\"");
    lines.send(&toys.router).await.is(200);
    let unless =
        async |condition: &str| paint(&path, 1).header("if-none-match", condition).send(&toys.router).await;
    for held in ["*", "\"5\"", "W/\"5\""] {
        unless(held).await.is_problem(412, "precondition-failed");
    }
    unless("\"4\"").await.is(200);
    // What makes a toy finds none that If-Match could want.
    let new = async |name, value| {
        Call::post("/toys", &json!({"name": "dog"})).header(name, value).send(&toys.router).await
    };
    for any in ["*", "\"1\""] {
        new("if-match", any).await.is_problem(412, "precondition-failed");
    }
    new("if-none-match", "*").await.is(201);
    // A toy that never was has no version that could conflict.
    let unknown = "/toys/018f8e3e-0000-7000-8000-000000000000";
    paint(unknown, 1).header("if-match", "\"1\"").send(&toys.router).await.is_problem(404, "toy-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_shown_under_conditions_and_with_its_position() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let path = make(&toys, "bear").await;
    let painted = paint(&path, 1).send(&toys.router).await;
    let token = painted.is(200).header("daybook-token").unwrap().to_owned();
    let shown = async |name: &str, value: &str| Call::get(&path).header(name, value).send(&toys.router).await;
    for (name, value, status) in [
        ("if-none-match", "\"1\"", 200),
        ("if-none-match", "\"1\", W/\"2\"", 304),
        ("if-none-match", "*", 304),
        ("if-match", "\"2\"", 200),
        ("if-match", "W/\"2\"", 412),
        ("if-match", "\"1\"", 412),
    ] {
        let answer = shown(name, value).await;
        assert_eq!(answer.is(status).header("daybook-as-of"), Some(token.as_str()), "{name}: {value}");
        assert_eq!((answer.header("etag"), answer.header("vary")), (Some("\"2\""), Some("daybook-after")));
        let is_stored = answer.header("cache-control") != Some("no-cache");
        assert!(!is_stored && answer.body.is_empty() == (status == 304), "{answer:?}");
    }
    let unknown = Call::get("/toys/018f8e3e-0000-7000-8000-000000000000").send(&toys.router).await;
    assert_eq!(unknown.is_problem(404, "toy-unknown").header("daybook-as-of"), None);
}

/// Who repeats a change with another key is not to read what was before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_changes_nothing_tells_where_the_state_stands() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let path = make(&toys, "bear").await;
    let painted = paint(&path, 1).send(&toys.router).await;
    let token = painted.is(200).header("daybook-token").unwrap().to_owned();
    let again = || paint(&path, 0).header("idempotency-key", "again");
    assert_eq!(again().send(&toys.router).await.is(200).header("daybook-token"), Some(token.as_str()));
    paint(&path, 1).send(&toys.router).await.is(200);
    assert_eq!(again().send(&toys.router).await.is(200).header("daybook-token"), Some(token.as_str()));
    toys.restart(|_| {}).unwrap();
    assert_eq!(again().send(&toys.router).await.is(200).header("daybook-token"), Some(token.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_who_read_the_same_version_one_wins() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    for round in 0..20 {
        let path = make(&toys, &format!("bear {round}")).await;
        let call = || paint(&path, 1).header("if-match", "\"1\"");
        let replies = at_once(&toys, vec![call(), call()]).await;
        assert_eq!((count(&replies, 200), count(&replies, 412)), (1, 1), "{replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_want_one_name_one_gets_it() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    for round in 0..20 {
        let call = || Call::post("/toys", &json!({"name": format!("bear {round}")}));
        let replies = at_once(&toys, vec![call(), call()]).await;
        assert_eq!((count(&replies, 201), count(&replies, 409)), (1, 1), "{replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_may_write_several_events() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let path = make(&toys, "bear").await;
    let painted = paint(&path, 3).send(&toys.router).await;
    painted.is(200);
    assert_eq!((painted.json()["coats"].as_u64(), painted.header("etag")), (Some(3), Some("\"4\"")));
    assert_eq!(painted.header("daybook-token").unwrap().split(',').count(), 3);
    let none = paint(&path, 0).send(&toys.router).await;
    let last = painted.header("daybook-token").unwrap().rsplit(',').next();
    assert_eq!((none.is(200).header("daybook-token"), none.header("etag")), (last, Some("\"4\"")));
    toys.relayed();
    let events = Log::read(&broker.kafka(""), "toys.events").events();
    let versions: Vec<_> = events.iter().map(|event| event["aggregateversion"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_where_they_come_from() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let correlation = "018f8e3e-0000-7000-8000-00000000cafe";
    let path = make(&toys, "bear").await;
    let call = paint(&path, 2).header("traceparent", trace).header("daybook-correlation-id", correlation);
    call.send(&toys.router).await.is(200);
    paint(&path, 1).header("traceparent", "00-0-0-0").send(&toys.router).await.is(200);
    toys.relayed();
    let events = Log::read(&broker.kafka(""), "toys.events").events();
    assert!(events[1]["correlationid"] == correlation && events[2]["correlationid"] == correlation);
    assert_eq!(events[1]["causationid"], events[2]["causationid"]);
    assert_eq!(events[1]["traceparent"], trace);
    assert!(events[0].get("traceparent").is_none() && events[3].get("traceparent").is_none());
    assert_ne!(events[0]["correlationid"], events[3]["correlationid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_rule_or_handler_does_not_end_the_service() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    Call::post("/toys", &json!({"name": "cursed"})).send(&toys.router).await.is_problem(500, "fault");
    Call::get("/panic").send(&toys.router).await.is_problem(500, "fault");
    make(&toys, "bear").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_the_store_is_refused_and_nothing_is_written() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let large = "x".repeat(13 * 1024);
    let refused = Call::post("/toys", &json!({"name": large})).send(&toys.router).await;
    refused.is_problem(413, "event-too-large");
    make(&toys, "bear").await;
    toys.relayed();
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_named_to_whoever_needs_it_and_to_nobody_else() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let (path, other) = (make(&toys, "bear").await, make(&toys, "duck").await);
    let (row, _) = toys.rows(b'A').swap_remove(0);
    toys.service().store.apply(vec![(row, Some(b"rubbish".to_vec()))]).unwrap();
    for call in [paint(&path, 1), Call::get(&path)] {
        let refused = call.send(&toys.router).await;
        assert!(refused.is_problem(503, "store-fails").text("detail").contains("--recover"), "{refused:?}");
    }
    paint(&other, 1).send(&toys.router).await.is(200);
    Call::get("/health/ready").send(&toys.router).await.is(200);
    assert_eq!(toys.service().metrics.store_failures.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_outbox_refuses_commands_until_kafka_takes_it() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.unsent_events_max = 10;
        kafka_is_away(settings);
    });
    let path = make(&toys, "bear").await;
    paint(&path, 9).send(&toys.router).await.is(200);
    let full = paint(&path, 1).send(&toys.router).await;
    full.is_problem(503, "outbox-full");
    assert_eq!(full.header("retry-after"), Some("1"));
    let shut = "shut_partitions{reason=\"outbox-full\"}";
    assert_eq!(figure(&toys.router, shut).await, PARTITIONS as u64);
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    toys.relayed();
    paint(&path, 1).send(&toys.router).await.is(200);
    assert_eq!(figure(&toys.router, shut).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_refused_while_health_answers() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.requests_max = 0;
    });
    let busy = Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await;
    busy.is_problem(503, "overloaded");
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(Call::get("/health/live").send(&toys.router).await.is(200).text("status"), "live");
    assert_eq!(Call::get("/health/ready").send(&toys.router).await.is(200).text("status"), "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_answer_after_kafka_the_answer_waits_for_it() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.answer_after = AnswerAfter::Kafka;
    });
    make(&toys, "bear").await;
    assert_eq!(toys.service().positions.unsent(), 0, "Kafka had it before the answer came");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_the_command_is_stored_and_its_key_brings_the_answer_later() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.answer_after = AnswerAfter::Kafka;
        settings.limits.kafka_wait_max = Duration::from_millis(50);
        kafka_is_away(settings);
    });
    let call = || Call::post("/toys", &json!({"name": "bear"})).header("idempotency-key", "k1");
    let waited = call().send(&toys.router).await;
    waited.is_problem(503, "not-acknowledged");
    assert_eq!(waited.header("retry-after"), Some("1"));
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    toys.relayed();
    call().send(&toys.router).await.is(201);
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_kafka_keeps_no_one_else_out() {
    let broker = broker();
    let toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.answer_after = AnswerAfter::Kafka;
        settings.limits.requests_max = 1;
        settings.limits.kafka_wait_max = Duration::from_secs(60);
        settings.limits.request_timeout = Duration::from_secs(60);
        kafka_is_away(settings);
    });
    let router = toys.router.clone();
    let make = |name: &str| Call::post("/toys", &json!({"name": name}));
    let first = make("bear");
    let waiting = tokio::spawn(async move { first.send(&router).await });
    let events = || toys.service().positions.unsent();
    eventually("an event that Kafka does not have", || (events() == 1).then_some(()));
    eventually("its place to be free", || toys.service().slots.work().ok().map(drop));
    let unknown = "/toys/018f8e3e-0000-7000-8000-000000000000";
    Call::get(unknown).send(&toys.router).await.is_problem(404, "toy-unknown");
    make("duck").send(&toys.router).await.is_problem(503, "overloaded");
    assert_eq!(events(), 1, "what is refused is not decided");
    let shown = Call::get("/metrics").send(&toys.router).await;
    assert!(String::from_utf8_lossy(&shown.body).contains("daybook_waiting_requests 1\n"));
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_shown() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    let path = make(&toys, "bear").await;
    paint(&path, 0).send(&toys.router).await.is(200);
    Call::post("/toys", &json!({"name": "bear"})).send(&toys.router).await.is(409);
    toys.relayed();
    // Counted once the position has moved.
    eventually("it to be counted", || (toys.service().metrics.relayed_events.get() == 1).then_some(()));
    let shown = Call::get("/metrics").send(&toys.router).await;
    let text = String::from_utf8(shown.is(200).body.to_vec()).unwrap();
    for line in [
        "daybook_commands_total{outcome=\"accepted\"} 1",
        "daybook_commands_total{outcome=\"unchanged\"} 1",
        "daybook_commands_total{outcome=\"rejected\"} 1",
        "daybook_outbox_unsent_events 0",
        "daybook_relayed_events_total 1",
        "daybook_sync_seconds_count 1",
        "daybook_group_commands_count 1",
        "daybook_http_requests_total{method=\"PATCH\",route=\"/toys/{toy_id}\",status=\"200\"} 1",
        "daybook_http_request_duration_seconds_count{method=\"POST\",route=\"/toys\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let size = text.lines().find_map(|line| line.strip_prefix("daybook_index_bytes ")).unwrap();
    assert!(size.parse::<u64>().unwrap() > 0, "{text}");
}
