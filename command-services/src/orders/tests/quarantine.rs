//! Records of services A and B that C cannot take: an event that it cannot read parks its user or product, all else stops
//! the following.
//! Of the kernel, and with the shop: which of two followed tables a record belongs to shows in what C then decides.

use std::time::Instant;

use serde_json::json;
use uuid::Uuid;

use crate::orders::Orders;
use crate::testing::{Call, Log, PARTITIONS, Shop, TestService, eventually, figure, order, write_raw};
use daybook_command::testing::{DEADLINE, VALUE_BYTES_MAX, waiting_row_bytes, write_keyed};
use daybook_kafka::partition_for_key;

/// An event of the users' service of a type that nobody knows, behind all others of the user's partition.
pub(super) struct Unknown {
    pub(super) partition: i32,
    /// As it lies in the log.
    pub(super) event: serde_json::Value,
}

impl Unknown {
    /// Made from the user's last event; the users' service must have stopped.
    pub(super) fn behind(shop: &Shop, user_id: &str) -> Self {
        let log = Log::read(&shop.broker.kafka(""), "users.events");
        let is_of_user = |records: &&Vec<(String, Vec<u8>)>| records.iter().any(|(key, _)| key == user_id);
        let records = log.partitions.iter().find(is_of_user).unwrap();
        let partition = log.partitions.iter().position(|all| all == records).unwrap() as i32;
        let mut event: serde_json::Value = serde_json::from_slice(&records.last().unwrap().1).unwrap();
        event["subject"] = json!(user_id);
        event["type"] = json!("shop.user.renamed.v1");
        let mut unknown = Self { partition, event };
        unknown.next();
        unknown
    }

    /// The same once more, at the next position.
    pub(super) fn next(&mut self) {
        let position: u64 = self.event["sequence"].as_str().unwrap().parse().unwrap();
        self.event["sequence"] = json!(format!("{:020}", position + 1));
        self.event["previousid"] = self.event["id"].take();
        self.event["id"] = json!(uuid::Uuid::now_v7().to_string());
    }

    fn write(&self, shop: &Shop) {
        let value = self.event.to_string();
        write_raw(&shop.broker.kafka(""), "users.events", &[(self.partition, value.as_bytes())]);
    }

    pub(super) fn id(&self) -> String {
        self.event["id"].as_str().unwrap().to_owned()
    }

    fn token(&self) -> String {
        let position: u64 = self.event["sequence"].as_str().unwrap().parse().unwrap();
        format!("users.events/{}@{position}", self.partition)
    }
}

async fn health(orders: &TestService<Orders>) -> serde_json::Value {
    eventually("C to be ready", || orders.not_ready().is_none().then_some(()));
    let ready = Call::get("/health/ready").send(&orders.router).await;
    ready.is(200).json()["following"]["quarantine"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_c_cannot_read_parks_its_user_and_all_others_are_served() {
    let mut shop = Shop::start();
    let (parked, product_id, _) = shop.user_and_product("parked@example.org").await;
    let (other, _, after) = shop.user_and_product("other@example.org").await;
    shop.users.relayed();
    shop.users.stop();
    let mut unknown = Unknown::behind(&shop, &parked);
    unknown.write(&shop);
    let (first, first_token) = (unknown.id(), unknown.token());
    // What comes behind it waits as well, although it could be read.
    unknown.next();
    unknown.event["type"] = json!("shop.user.deleted.v1");
    unknown.event["data"] = json!({ "user_id": parked });
    unknown.write(&shop);

    for restarted in [false, true] {
        if restarted {
            shop.orders.restart(|_| {}).unwrap();
        }
        eventually("orders to be ready", || shop.orders.not_ready().is_none().then_some(()));
        let both = format!("{first_token},{}", unknown.token());
        let refused =
            order(&parked, &product_id).header("daybook-after", &both).send(&shop.orders.router).await;
        let refused = refused.is_problem(503, "quarantined");
        assert_eq!(refused.json()["quarantined"], json!([parked]));
        for part in ["shop.user.renamed.v1", &first, &first_token, &parked, "version of this service"] {
            assert!(refused.text("detail").contains(part), "{part} in {refused:?}");
        }
        order(&other, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
        let health = health(&shop.orders).await;
        assert_eq!((&health["keys"], &health["events"]), (&json!(1), &json!(2)));
        assert_eq!(
            (&health["first"][0]["key"], &health["first"][0]["event_id"]),
            (&json!(parked), &json!(first))
        );
        let metrics = Call::get("/metrics").send(&shop.orders.router).await.body;
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        assert!(metrics.contains("daybook_quarantined_events 2\n"), "{metrics}");
    }
}

/// A user and a product that C knows, and what is to be written behind the user's event; its service has stopped.
async fn behind_a_user() -> (Shop, String, String, Unknown) {
    let mut shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    shop.users.relayed();
    shop.users.stop();
    let unknown = Unknown::behind(&shop, &user_id);
    (shop, user_id, product_id, unknown)
}

/// Returns what `/health/ready` says of it.
fn until_following_stops(shop: &Shop) -> String {
    let stopped = |reason: &String| reason.starts_with("following has stopped");
    eventually("following to stop", || shop.orders.not_ready().filter(stopped))
}

/// Written behind a user's event; stops C while it runs and at its next start, and says why.
async fn stops_saying(spoil: impl FnOnce(&mut Unknown) -> Vec<u8>, said: &str) {
    let (mut shop, user_id, product_id, mut unknown) = behind_a_user().await;
    let record = spoil(&mut unknown);
    write_raw(&shop.broker.kafka(""), "users.events", &[(unknown.partition, &record)]);
    for restarted in [false, true] {
        if restarted {
            shop.orders.restart(|_| {}).unwrap();
        }
        let reason = until_following_stops(&shop);
        let at = format!("topic users.events partition {} offset 2", unknown.partition);
        assert!(reason.contains(&at) && reason.contains(said), "{reason}");
        order(&user_id, &product_id).send(&shop.orders.router).await.is(201);
    }
}

/// What is shown of them, once there are as many.
async fn set_aside(shop: &Shop, records: u64) -> serde_json::Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let ready = Call::get("/health/ready").send(&shop.orders.router).await;
        if ready.status == 200 && ready.json()["following"]["set_aside"][0]["records"] == json!(records) {
            return ready.json()["following"]["set_aside"][0].clone();
        }
        assert!(Instant::now() < deadline, "{ready:?}");
    }
}

/// Their service goes on behind them as if they were not there, and so does C.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_of_the_users_service_is_set_aside_and_following_goes_on() {
    let (mut shop, user_id, product_id, mut unknown) = behind_a_user().await;
    let partition = unknown.partition;
    unknown.event["source"] = json!(format!("/dolls/{partition}"));
    let others = unknown.event.to_string().into_bytes();
    let noise = [&b"hello"[..], b"", &[0xff; 9], &others].map(|value| (partition, value));
    write_raw(&shop.broker.kafka(""), "users.events", &noise);
    for restarted in [false, true] {
        if restarted {
            shop.orders.restart(|_| {}).unwrap();
        }
        let shown = set_aside(&shop, 4).await;
        let place = (&shown["topic"], &shown["partition"], &shown["first_offset"]);
        assert_eq!(place, (&json!("users.events"), &json!(partition), &json!(2)));
        assert_eq!(shown["end_unproven"], json!(true), "no event has come behind");
        order(&user_id, &product_id).send(&shop.orders.router).await.is(201);
    }
    assert_eq!(figure(&shop.orders.router, "set_aside_records").await, 4);
    shop.users.restart(|_| {}).unwrap();
    for number in 0.. {
        let (bob, product_id, after) = shop.user_and_product(&format!("bob{number}@example.org")).await;
        order(&bob, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
        if partition_for_key(bob.as_bytes(), PARTITIONS) == partition {
            break;
        }
    }
    assert_eq!(set_aside(&shop, 4).await["end_unproven"], json!(false));
}

/// Positions are contiguous: what is missing was the one record that nobody could read.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_aside_record_that_fills_a_gap_parks_the_user_that_its_key_names() {
    let (mut shop, user_id, product_id, mut next) = behind_a_user().await;
    let kafka = shop.broker.kafka("");
    write_keyed(&kafka, "users.events", &[(next.partition, &user_id, b"hello")]);
    let stranger = Uuid::now_v7().to_string();
    next.event["type"] = json!("shop.user.signed-up.v1");
    next.event["subject"] = json!(stranger);
    next.event["data"]["user_id"] = json!(stranger);
    // At the position behind the one that is missing.
    next.next();
    write_keyed(&kafka, "users.events", &[(next.partition, &stranger, next.event.to_string().as_bytes())]);
    for restarted in [false, true] {
        if restarted {
            shop.orders.restart(|_| {}).unwrap();
        }
        eventually("what is missing to wait", || (shop.orders.quarantined_events() == 1).then_some(()));
        eventually("C to be ready", || shop.orders.not_ready().is_none().then_some(()));
        let refused = order(&user_id, &product_id).send(&shop.orders.router).await;
        let refused = refused.is_problem(503, "quarantined");
        assert!(refused.text("detail").contains("no event that can be read"), "{refused:?}");
        order(&stranger, &product_id).send(&shop.orders.router).await.is(201);
    }
    // Behind a gap that nothing fills the following stops.
    next.next();
    next.next();
    write_keyed(&kafka, "users.events", &[(next.partition, &stranger, next.event.to_string().as_bytes())]);
    assert!(until_following_stops(&shop).contains("gap"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_another_log_stops_the_following() {
    let spoil = |unknown: &mut Unknown| {
        unknown.event["previousid"] = json!(Uuid::now_v7());
        unknown.event.to_string().into_bytes()
    };
    stops_saying(spoil, "another log").await;
}

/// In a partition of which C has read no event; a start knows as well which log the others are of.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_of_another_log_is_told_by_what_the_topics_other_partitions_are_of() {
    let (mut shop, _, product_id, mut unknown) = behind_a_user().await;
    let empty = (unknown.partition + 1) % PARTITIONS;
    let stranger = Uuid::now_v7();
    unknown.event["source"] = json!(format!("/users/{empty}"));
    unknown.event["sequence"] = json!(format!("{:020}", 0));
    unknown.event["previousid"] = json!(Uuid::now_v7());
    unknown.event["type"] = json!("shop.user.signed-up.v1");
    unknown.event["subject"] = json!(stranger);
    unknown.event["data"]["user_id"] = json!(stranger);
    let record = unknown.event.to_string().into_bytes();
    shop.orders.stop();
    write_raw(&shop.broker.kafka(""), "users.events", &[(empty, &record)]);
    shop.orders.restart(|_| {}).unwrap();
    let reason = until_following_stops(&shop);
    assert!(reason.contains(&format!("partition {empty}")) && reason.contains("another log"), "{reason}");
    let refused = order(&stranger.to_string(), &product_id).send(&shop.orders.router).await;
    assert_ne!(refused.status, 201);
}

/// Its row would be a little larger than the store takes. That is a matter of this event, not of the disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_to_wait_stops_the_following_and_no_command() {
    let (shop, user_id, product_id, mut unknown) = behind_a_user().await;
    let event_type = unknown.event["type"].as_str().unwrap().to_owned();
    let padding = VALUE_BYTES_MAX - waiting_row_bytes(unknown.partition, &event_type, "\"\"");
    unknown.event["data"] = json!("x".repeat(padding));
    unknown.write(&shop);
    let reason = until_following_stops(&shop);
    assert!(reason.contains("shop.user.renamed.v1"), "{reason}");
    for _ in 0..10 {
        order(&user_id, &product_id).send(&shop.orders.router).await.is(201);
    }
    assert_eq!(shop.orders.store_failures(), 0);
}
