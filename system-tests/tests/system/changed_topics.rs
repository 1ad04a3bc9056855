//! Topics that somebody changes under running services: each change is noticed while they run and at the next start, and
//! named.

use serde_json::{Value, json};
use system_tests::broker::TestBroker;
use system_tests::kafka::OwnKafka;
use system_tests::process;
use system_tests::site::Site;

/// Users with an order each.
const USERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn what_would_lose_events_is_noticed_and_named() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let topic = |bare: &str| site.broker.kafka().topic_name(bare);
    let (users, products, orders) = (topic("users.events"), topic("products.events"), topic("orders.events"));
    let alter = ["--alter", "--entity-type", "topics", "--entity-name", &users];
    kafka.tool("kafka-configs", &[&alter[..], &["--add-config", "retention.ms=604800000"]].concat());
    kafka.tool("kafka-topics", &["--alter", "--topic", &products, "--partitions", "5"]);
    kafka.delete_front(&orders, 1);

    let fault = trouble(&site, &site.urls.users).await;
    names(&fault, &[&users, "retention.ms is 604800000", "it must be -1", "kafka-configs"]);
    let fault = trouble(&site, &site.urls.products).await;
    names(&fault, &[&products, "has 5 partitions", "3 are configured"]);
    let fault = trouble(&site, &site.urls.orders).await;
    names(&fault, &[&orders, "begins at offset 1", "first events were deleted", "backup"]);
    let stopped = site.status_when("D has stopped", |status| status["state"] == "stopped").await;
    names(&stopped["stopped"]["detail"], &["products.events has 5 partitions", "built from 3"]);

    for (service, data, said) in [
        (site.users.take(), "users", "retention.ms is 604800000"),
        (site.products.take(), "products", "has 5 partitions"),
    ] {
        assert_eq!(service.expect("it runs").terminate().code(), Some(0));
        let refused = process::run(data, &site.flags(data));
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    site.query.take().expect("it runs").kill();
    (site.query, site.urls.query) = site.service_unready("query-api", "read-model");
    let stopped = site.status_when("D has stopped again", |status| status["state"] == "stopped").await;
    names(&stopped["stopped"]["detail"], &["products.events has 5 partitions", "built from 3"]);
    let replay = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(replay.code, Some(1), "{}", replay.stdout);
}

/// Everything in it was kept by its service, which sends it again; D says that it is gone, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_that_was_deleted_is_made_anew_and_filled_again() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let topic = site.broker.kafka().topic_name("users.events");
    let before = system_tests::log::events(site.broker.kafka(), "users.events");
    kafka.tool("kafka-topics", &["--delete", "--topic", &topic]);
    let stopped = site.status_when("D misses the topic", |status| status["state"] == "stopped").await;
    names(&stopped["stopped"]["detail"], &[&topic, "does not exist any more"]);
    names(&trouble(&site, &site.urls.users).await, &[&topic, "does not exist"]);

    assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
    (site.users, site.urls.users) = site.service("users", "users").await;
    site.status_when("D follows", |status| status["state"] == "following").await;
    let (user, product) = (site.sign_up("new@example.com").await, site.product("hat").await);
    let order = site.order(&user, &product).await;
    let shown = site.ordered_products(&user, &order.token).await.body;
    assert_eq!(shown["products"][0]["orders"], 1, "{shown}");
    let after = system_tests::log::events(site.broker.kafka(), "users.events");
    assert!(before.iter().zip(&after).all(|(before, after)| after.starts_with(before)), "at their positions");
    let verified = site.projector(&["--verify", "--json"]).await.expect("no panic");
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

async fn ordered(kafka: &OwnKafka) -> Site {
    let site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    for number in 0..USERS {
        let user = site.sign_up(&format!("user-{number}@example.com")).await;
        let product = site.product(&format!("product {number}")).await;
        let order = site.order(&user, &product).await;
        site.ordered_products(&user, &format!("{},{},{}", user.token, product.token, order.token)).await;
    }
    site.status_when("D has all", |status| status["lag_total"] == json!(0)).await;
    site
}

/// What a service says is wrong with its topic, once it says something.
async fn trouble(site: &Site, url: &str) -> Value {
    let deadline = tokio::time::Instant::now() + system_tests::wait::DEADLINE;
    loop {
        let ready =
            site.client.get(&format!("{url}/health/ready")).send_ok().await.expect("it is ready").body;
        if !ready["relay"]["trouble"].is_null() {
            return ready["relay"]["trouble"].clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing noticed by {url}: {ready}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[track_caller]
fn names(said: &Value, parts: &[&str]) {
    let text = said.as_str().unwrap_or_default();
    for part in parts {
        assert!(text.contains(part), "{part} in {said}");
    }
}
