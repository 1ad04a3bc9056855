//! A broker that lost the end of its log: the services send it again, and whoever had seen it goes on as if nothing were.
//!
//! Each test has a Kafka of its own, since it stops it and cuts its segments.

use std::time::Duration;

use daybook_kafka::{Outgoing, Writer};
use schemas::TOPICS;
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::kafka::OwnKafka;
use system_tests::log;
use system_tests::site::{Made, QUERY_API, Site};
use uuid::Uuid;

/// Users, each with an order.
const USERS: usize = 12;
/// Batches that every partition loses. Commands that come one after the other are a batch each.
const LOST_BATCHES: usize = 3;
/// Longest wait for a repeated record to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn it_is_healed_while_everything_runs() {
    let kafka = OwnKafka::start();
    let (site, user, product) = ordered(&kafka).await;
    let before = all_events(&site);
    repeat_the_last(&site);
    seen_by_all(&site).await;

    kafka.stop();
    cut(&kafka, &site);
    kafka.start_again();
    healed(&kafka, &site, &before).await;
    goes_on(&site, &user, &product).await;
    for (service, topic) in [(&site.users, TOPICS[0]), (&site.products, TOPICS[1]), (&site.orders, TOPICS[2])]
    {
        told(&service.as_ref().expect("it runs").log(), &site.broker.kafka().topic_name(topic));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn it_is_healed_at_the_next_start() {
    let kafka = OwnKafka::start();
    let (mut site, user, product) = ordered(&kafka).await;
    let before = all_events(&site);
    repeat_the_last(&site);
    seen_by_all(&site).await;
    for service in [site.users.take(), site.products.take(), site.orders.take(), site.query.take()] {
        assert_eq!(service.expect("it runs").terminate().code(), Some(0));
    }

    kafka.stop();
    cut(&kafka, &site);
    kafka.start_again();
    // C and D first: they wait for what they have seen already.
    let started = site.service_unready(QUERY_API, "read-model");
    (site.query, site.urls.query) = started;
    site.status_when("D says what is missing", |status| status["stopped"]["type"] != Value::Null).await;
    (site.users, site.urls.users) = site.service("users", "users").await;
    (site.products, site.urls.products) = site.service("products", "products").await;
    (site.orders, site.urls.orders) = site.service("orders", "orders").await;
    healed(&kafka, &site, &before).await;
    goes_on(&site, &user, &product).await;
    told(&site.users.as_ref().expect("it runs").log(), &site.broker.kafka().topic_name(TOPICS[0]));
}

async fn ordered(kafka: &OwnKafka) -> (Site, Made, Made) {
    let site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    let mut last = None;
    for number in 0..USERS {
        let user = site.sign_up(&format!("user-{number}@example.com")).await;
        let product = site.product(&format!("product {number}")).await;
        let order = site.order(&user, &product).await;
        site.ordered_products(&user, &format!("{},{},{}", user.token, product.token, order.token)).await;
        last = Some((user, product));
    }
    let (user, product) = last.expect("some users");
    (site, user, product)
}

fn all_events(site: &Site) -> Vec<Vec<Vec<Uuid>>> {
    TOPICS.iter().map(|topic| log::events(site.broker.kafka(), topic)).collect()
}

/// As a relay that lost its connection would: from here on, offsets are ahead of positions, and they will move back
/// when the repetition is lost.
fn repeat_the_last(site: &Site) {
    let writer = Writer::open(site.broker.kafka(), |delivery| assert!(delivery.result.is_ok())).unwrap();
    for topic in TOPICS {
        let partitions = log::records(site.broker.kafka(), topic);
        for (partition, logged) in (0..).zip(&partitions) {
            let Some(last) = logged.last() else { continue };
            let (key, value) = &last.record;
            writer.send(Outgoing { topic, partition, key, value, headers: &[], tag: 0 }).unwrap();
        }
    }
    writer.flush(FLUSH_TIMEOUT).unwrap();
}

/// D has read all there is.
async fn seen_by_all(site: &Site) {
    site.status_when("D has read the repetitions", |status| {
        let repeated = status["duplicates_skipped"].as_u64() >= Some(1);
        repeated && status["lag_total"] == json!(0)
    })
    .await;
}

fn cut(kafka: &OwnKafka, site: &Site) {
    for topic in TOPICS {
        let full = site.broker.kafka().topic_name(topic);
        let taken: usize = (0..PARTITIONS).map(|partition| kafka.cut(&full, partition, LOST_BATCHES)).sum();
        assert!(taken > PARTITIONS as usize, "{topic} lost {taken} batches, and only repetitions among them");
    }
}

/// Every event is back at its position, D and C have taken the rest as duplicates.
async fn healed(kafka: &OwnKafka, site: &Site, before: &[Vec<Vec<Uuid>>]) {
    let deadline = tokio::time::Instant::now() + system_tests::wait::DEADLINE;
    while all_events(site) != before {
        assert!(tokio::time::Instant::now() < deadline, "the log at {} was not healed", kafka.brokers);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    site.status_when("D follows", |status| status["state"] == "following" && status["lag_total"] == json!(0))
        .await;
}

/// New events get through to C and D, D counts nothing twice, and its rows are those of a replay from zero.
async fn goes_on(site: &Site, user: &Made, product: &Made) {
    let new = site.sign_up("new@example.com").await;
    let trousers = site.product("trousers").await;
    let first = site.order(&new, &trousers).await;
    let second = site.order(user, product).await;
    let shown = site.ordered_products(&new, &first.token).await.body;
    assert_eq!(shown["products"][0]["orders"], 1, "{shown}");
    let shown = site.ordered_products(user, &second.token).await.body;
    assert_eq!(
        (&shown["products"][0]["orders"], shown["products"].as_array().map(Vec::len)),
        (&json!(2), Some(1))
    );

    let verified = site.projector(&["--verify", "--json"]).await.expect("no panic");
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let report: Value = serde_json::from_str(&verified.stdout).expect("JSON");
    assert_eq!(report["digest_kept"], report["digest_rebuilt"], "{report}");
    assert_eq!(report["events"], json!(3 * USERS + 4), "{report}");
    let events = all_events(site).iter().flatten().map(Vec::len).sum::<usize>();
    assert_eq!(events, 3 * USERS + 4, "positions are contiguous, and nothing else is there");
}

fn told(log: &str, topic: &str) {
    let parts = ["WARN", "the log has lost its end", "from_position", topic];
    let said = log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(said, "nothing about {topic} in {log}");
}
