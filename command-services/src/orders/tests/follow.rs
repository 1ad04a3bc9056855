//! Following services A and B: waiting for tokens, checkpoints, and what stops it.
//! Of the kernel, and with the shop: C is the service that follows two others, with values in rows of their own.

use std::time::Duration;

use daybook_kafka::topics::TopicError;
use serde_json::json;

use crate::orders::Orders;
use crate::testing::orders_router as router;
use crate::testing::{Call, Log, Shop, TestService, broker, eventually, figure, order, token, write_raw};

/// A position that nobody writes.
const NEVER: &str = "users.events/0@1000000";

fn ready(orders: &TestService<Orders>) {
    eventually("orders to be ready", || orders.not_ready().is_none().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_what_does_not_come_ends_with_its_deadline() {
    let shop = Shop::start();
    let (user_id, product_id, _) = shop.user_and_product("ada@example.org").await;
    let late = order(&user_id, &product_id).header("daybook-after", NEVER).header("daybook-wait-ms", "20");
    let refused = late.send(&shop.orders.router).await;
    refused.is_problem(503, "not-reached-yet");
    assert_eq!(refused.header("retry-after"), Some("1"));
    ready(&shop.orders);
    for (token, why) in [
        ("prices.events/0@1", "does not follow topic prices.events"),
        ("users.events/77@0", "topic users.events has no partition 77, but 3 from 0 on"),
    ] {
        let unknown = order(&user_id, &product_id).header("daybook-after", token);
        let refused = unknown.send(&shop.orders.router).await;
        let detail = refused.is_problem(400, "malformed-header").text("detail");
        assert!(detail.contains(why), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_what_does_not_come_keeps_no_one_else_out() {
    let mut shop = Shop::start();
    shop.orders
        .restart(|settings| {
            settings.limits.requests_max = 1;
            settings.limits.after_wait_max = Duration::from_secs(60);
            settings.limits.request_timeout = Duration::from_secs(60);
        })
        .unwrap();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    ready(&shop.orders);
    let (router, late) =
        (shop.orders.router.clone(), order(&user_id, &product_id).header("daybook-after", NEVER));
    let again = late.clone();
    let waiting = tokio::spawn(async move { late.send(&router).await });
    eventually("a request that waits", || (shop.orders.waiting_commands() == 1).then_some(()));
    again.send(&shop.orders.router).await.is_problem(503, "overloaded");
    // What has been followed is not waited for.
    shop.users.relayed();
    shop.products.relayed();
    let followed = || shop.orders.followed_events();
    eventually("both to be followed", || (followed() == 2).then_some(()));
    let placed = order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await;
    let path = format!("/orders/{}", placed.is(201).text("order_id"));
    Call::get(&path).send(&shop.orders.router).await.is(200);
    Call::delete(&path).send(&shop.orders.router).await.is(204);
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn following_goes_on_from_its_checkpoint() {
    let mut shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let followed = |shop: &Shop| (shop.orders.rows(b'R'), shop.orders.rows(b'F'));
    let before = followed(&shop);
    assert_eq!(before.0.len(), 2);
    shop.orders.restart(|_| {}).unwrap();
    ready(&shop.orders);
    assert_eq!((followed(&shop), shop.orders.followed_events()), (before, 0));
    let (user_id, product_id, after) = shop.user_and_product("bob@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    assert_eq!(shop.orders.followed_events(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_means_that_everything_that_was_there_is_known() {
    let mut shop = Shop::start();
    for number in 0..100 {
        shop.user_and_product(&format!("{number}@example.org")).await;
    }
    shop.users.relayed();
    shop.products.relayed();
    shop.orders.stop();
    std::fs::remove_dir_all(&shop.orders.settings.data_dir).unwrap();
    // With its directory its identity is gone: it is another instance.
    shop.orders.restart(|settings| settings.take_over = true).unwrap();
    ready(&shop.orders);
    assert_eq!(shop.orders.rows(b'R').len(), 200);
}

/// Else what is there and not followed yet would be refused as unknown, and its key would remember that.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_decided_on_what_other_services_say_before_it_is_known() {
    let broker = broker();
    let users = TestService::start(broker.kafka(""), crate::testing::users_router);
    let orders = TestService::start(broker.kafka(""), router);
    let user = json!({"email": "ada@example.org", "name": "Ada", "address": "1 Row"});
    let user = Call::post("/users", &user).send(&users.router).await;
    let order = || {
        order(&user.text("user_id"), "01931c5e-7f3a-7cc0-9a3e-0123456789ab").header("idempotency-key", "one")
    };
    let early = order().send(&orders.router).await;
    assert_eq!(early.is_problem(503, "catching-up").header("retry-after"), Some("1"));
    let _products = TestService::start(broker.kafka(""), crate::testing::products_router);
    ready(&orders);
    order()
        .header("daybook-after", &token(&user))
        .send(&orders.router)
        .await
        .is_problem(422, "ordered-product-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_store_follows_from_the_beginning() {
    let mut shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let before = (shop.orders.rows(b'R'), shop.orders.rows(b'F'), shop.orders.rows(b'A'));
    shop.orders.relayed();
    shop.orders.restart(|settings| settings.recover = true).unwrap();
    ready(&shop.orders);
    assert_eq!((shop.orders.rows(b'R'), shop.orders.rows(b'F'), shop.orders.rows(b'A')), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_records_are_taken_once() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let kafka = shop.broker.kafka("");
    let log = Log::read(&kafka, "users.events");
    let repeated = (0..)
        .zip(&log.partitions)
        .flat_map(|(partition, records)| records.iter().map(move |(_, value)| (partition, &value[..])));
    write_raw(&kafka, "users.events", &repeated.collect::<Vec<_>>());
    eventually("the repetition", || (shop.orders.followed_events() == 3).then_some(()));
    assert_eq!(shop.orders.not_ready(), None);
}

/// Another broker, which has nothing: as after a loss of everything. Offsets were ahead of positions, and no longer are.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_is_waited_for_and_followed_on_by_position() {
    let mut shop = Shop::start();
    for number in 0..10 {
        shop.user_and_product(&format!("{number}@example.org")).await;
    }
    shop.users.relayed();
    shop.products.relayed();
    let kafka = shop.broker.kafka("");
    let log = Log::read(&kafka, "users.events");
    let records = (0..)
        .zip(&log.partitions)
        .flat_map(|(at, records)| records.iter().map(move |(_, value)| (at, value)));
    write_raw(&kafka, "users.events", &records.map(|(at, value)| (at, &value[..])).collect::<Vec<_>>());
    let followed = |shop: &Shop| shop.orders.followed_events();
    eventually("the repetition to be followed", || (followed(&shop) == 30).then_some(()));
    let before = shop.orders.rows(b'R');

    let empty = broker();
    shop.orders.restart(|settings| settings.kafka = empty.kafka("")).unwrap();
    let reason = eventually("the loss to be noticed", || {
        shop.orders.not_ready().filter(|reason| reason.contains("up to which it was followed"))
    });
    assert!(reason.contains("its end offset is 0"), "{reason}");
    shop.users.restart(|settings| settings.kafka = empty.kafka("")).unwrap();
    shop.products.restart(|settings| settings.kafka = empty.kafka("")).unwrap();
    ready(&shop.orders);
    let (user_id, product_id, after) = shop.user_and_product("new@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let rows = shop.orders.rows(b'R');
    assert_eq!(rows.len(), before.len() + 2);
    assert!(before.iter().all(|row| rows.contains(row)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_stops_the_following_with_a_sentence_and_commands_go_on() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let kafka = shop.broker.kafka("");
    let log = Log::read(&kafka, "users.events");
    let partition = log.partitions.iter().position(|records| !records.is_empty()).unwrap();
    let mut event: serde_json::Value = serde_json::from_slice(&log.partitions[partition][0].1).unwrap();
    event["sequence"] = json!(format!("{:020}", 7));
    write_raw(&kafka, "users.events", &[(partition as i32, event.to_string().as_bytes())]);

    let orders = &shop.orders;
    let reason = eventually("the gap to be noticed", || orders.not_ready());
    let id = event["id"].as_str().unwrap();
    for part in ["topic users.events partition", "offset 2", "gap: position 1 was expected, 7 was found", id]
    {
        assert!(reason.contains(part), "{part} in {reason}");
    }
    let ready = Call::get("/health/ready").send(&orders.router).await;
    assert!(ready.is_problem(503, "not-ready").text("detail").contains("gap"), "{ready:?}");
    let stands = async |reason| figure(&orders.router, &format!("not_ready{{reason=\"{reason}\"}}")).await;
    assert_eq!((stands("following-stopped").await, stands("catching-up").await), (1, 0));
    assert_eq!(figure(&orders.router, "ready").await, 0);
    order(&user_id, &product_id).send(&orders.router).await.is(201);
    let nobody = "018f8e3e-0000-7000-8000-000000000000";
    let unheard = order(nobody, &product_id).send(&orders.router).await;
    let said = unheard.is_problem(503, "following-stopped").text("detail");
    assert!(!said.contains("gap"), "what is wrong with the log is for operators: {said}");
    let waiting = order(&user_id, &product_id).header("daybook-after", "users.events/0@99");
    waiting.send(&orders.router).await.is_problem(503, "following-stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_until_the_other_services_have_made_their_topics() {
    let broker = daybook_kafka::embedded::EmbeddedBroker::start().unwrap();
    broker.create_topic("orders.events", 3).unwrap();
    let orders = TestService::<Orders>::start(broker.kafka(""), router);
    Call::get("/health/ready").send(&orders.router).await.is_problem(503, "not-ready");
    Call::get("/health/live").send(&orders.router).await.is(200);
    let nobody = "018f8e3e-0000-7000-8000-000000000000";
    order(nobody, nobody).send(&orders.router).await.is_problem(503, "catching-up");
    broker.create_topic("users.events", 3).unwrap();
    broker.create_topic("products.events", 3).unwrap();
    ready(&orders);
    order(nobody, nobody).send(&orders.router).await.is_problem(422, "buyer-unknown");
}

/// Another broker, on which the users' topic has one partition more.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_before_the_start_stop_the_following_by_name() {
    let mut shop = Shop::start();
    ready(&shop.orders);
    let other = daybook_kafka::embedded::EmbeddedBroker::start().unwrap();
    for (topic, partitions) in [("users.events", 4), ("products.events", 3), ("orders.events", 3)] {
        other.create_topic(topic, partitions).unwrap();
    }
    shop.orders.restart(|settings| settings.kafka = other.kafka("")).unwrap();
    stopped_saying(&shop.orders, &["users.events has 4 partitions", "followed with 3", "keys have moved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_it_follows_stop_it_by_name() {
    let shop = Shop::start();
    ready(&shop.orders);
    let added = TopicError::PartitionCount { topic: "users.events".to_owned(), expected: 3, actual: 4 };
    eventually("the following to stop", || {
        // The watch, which finds the topic as it was, may take it back.
        shop.orders.set_topic_faults(vec![added.clone()]);
        shop.orders.not_ready()
    });
    stopped_saying(&shop.orders, &["users.events has 4 partitions", "followed with 3", "keys have moved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_topic_that_is_gone_is_named_until_it_is_there_again() {
    let mut shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let other = daybook_kafka::embedded::EmbeddedBroker::start().unwrap();
    other.create_topic("products.events", 3).unwrap();
    other.create_topic("orders.events", 3).unwrap();
    shop.orders.restart(|settings| settings.kafka = other.kafka("")).unwrap();
    stopped_saying(&shop.orders, &["users.events does not exist any more, but was followed", "restore it"]);
    order(&user_id, &product_id).send(&shop.orders.router).await.is(201);
    other.create_topic("users.events", 3).unwrap();
    shop.users.restart(|settings| settings.kafka = other.kafka("")).unwrap();
    shop.products.restart(|settings| settings.kafka = other.kafka("")).unwrap();
    ready(&shop.orders);
}

/// The embedded broker drops the oldest records of a large partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_was_deleted_before_it_was_followed_stops_the_following() {
    let broker = broker();
    let kafka = broker.kafka("");
    // Noise, so that it does not compress: more than the five megabytes that a partition may hold.
    let mut state = 1_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let noise: Vec<Vec<u8>> =
        (0..300).map(|_| (0..4_000).flat_map(|_| noise()).collect::<Vec<_>>()).collect();
    write_raw(&kafka, "users.events", &noise.iter().map(|value| (1, &value[..])).collect::<Vec<_>>());
    let orders = TestService::<Orders>::start(kafka, router);
    stopped_saying(&orders, &["topic users.events partition 1 begins at offset", "front", "backup"]);
}

/// Waits until following has stopped, for a reason that names all of this.
#[track_caller]
fn stopped_saying(orders: &TestService<Orders>, parts: &[&str]) {
    let names_all = |reason: &String| parts.iter().all(|part| reason.contains(part));
    eventually("a reason that names it", || orders.not_ready().filter(names_all));
    assert!(orders.not_ready().unwrap().starts_with("following has stopped"));
}
