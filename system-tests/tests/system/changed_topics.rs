//! Topics that somebody changes under running services: each change is noticed while they run and at the next start, and
//! named.

use std::collections::HashSet;

use daybook_kafka::partition_for_key;
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::kafka::OwnKafka;
use system_tests::process::{self, Process};
use system_tests::site::{Made, Site, remove};
use system_tests::wait::DEADLINE;
use uuid::Uuid;

use crate::said::{POLL, names, not_ready, trouble};

/// More users than it takes until each partition has an order.
const USERS_MAX: usize = 100;
/// More than there are claims in a partition before others make its topic anew: the offsets where D and C stand are then in theirs.
const CLAIMS_MAX: usize = 6;

/// What loses events and has lost none yet is told by all who count on the topic, and they go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn settings_that_lose_events_and_a_deleted_front_are_told_by_owner_and_followers() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let topic = |bare: &str| site.broker.kafka().topic_name(bare);
    let (users, products, orders) = (topic("users.events"), topic("products.events"), topic("orders.events"));
    set(&kafka, &users, "retention.ms=604800000");
    set(&kafka, &products, "cleanup.policy=compact");
    kafka.delete_front(&orders, 1);
    let retention = [users.as_str(), "retention.ms is 604800000", "it must be -1", "kafka-configs"];
    let compaction = [products.as_str(), "cleanup.policy is compact", "it must be delete", "kafka-configs"];
    let front = [orders.as_str(), "begins at offset 1", "first events were deleted", "backup"];

    trouble(&site, &site.urls.users, "relay", &retention).await;
    trouble(&site, &site.urls.products, "relay", &compaction).await;
    trouble(&site, &site.urls.orders, "relay", &front).await;
    told(&site, &retention, &compaction, &front).await;
    // They go on, and say each thing once.
    order_and_read(&site, "goes-on@example.com").await;
    for process in [&site.orders, &site.query] {
        let log = process.as_ref().expect("it runs").log();
        for part in [retention[1], compaction[1], front[1]] {
            assert_eq!(log.matches(part).count(), 1, "{part} in {log}");
        }
    }
    let replay = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(replay.code, Some(1), "{}", replay.stdout);
    names(&json!(replay.stderr), &["orders.events/", "begins at offset 1 only"]);

    // At the next start the owners refuse, and the followers tell it again.
    for (service, data, said) in
        [(site.users.take(), "users", retention), (site.products.take(), "products", compaction)]
    {
        assert_eq!(service.expect("it runs").terminate().code(), Some(0));
        for recover in [&[][..], &["--recover".to_owned()][..]] {
            let refused = process::run(data, &[&site.flags(data)[..], recover].concat());
            assert_eq!(refused.code, Some(1));
            names(&json!(refused.stderr), &said);
        }
    }
    assert_eq!(site.orders.take().expect("it runs").terminate().code(), Some(0));
    let refused = process::run("orders", &[&site.flags("orders")[..], &["--recover".to_owned()]].concat());
    assert_eq!(refused.code, Some(1));
    names(&json!(refused.stderr), &front);
    (site.orders, site.urls.orders) = site.service("orders", "orders").await;
    site.query.take().expect("it runs").kill();
    site.start_query().await;
    trouble(&site, &site.urls.orders, "relay", &front).await;
    told(&site, &retention, &compaction, &front).await;

    // Corrected, it is over.
    set(&kafka, &users, "retention.ms=-1");
    set(&kafka, &products, "cleanup.policy=delete");
    let only_the_front = |status: &Value| status["topic_faults"].as_array().is_some_and(|all| all.len() == 1);
    site.status_when("two are over", only_the_front).await;
    (site.users, site.urls.users) = site.service("users", "users").await;
    (site.products, site.urls.products) = site.service("products", "products").await;
    order_and_read(&site, "corrected@example.com").await;
}

/// A replay tells of settings, and is not kept from its end by them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_replay_tells_of_settings_that_lose_events() {
    let kafka = OwnKafka::start();
    let site = ordered(&kafka).await;
    let users = site.broker.kafka().topic_name("users.events");
    set(&kafka, &users, "retention.bytes=1000000");
    let replay = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(replay.code, Some(0), "{}", replay.stderr);
    names(&json!(replay.stderr), &[&users, "retention.bytes is 1000000", "it must be -1"]);
}

/// Keys have moved: nobody goes on behind that, and queries are answered from what there was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn added_partitions_stop_those_who_follow_and_keep_the_owner_from_starting() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let (user, product) = (site.sign_up("new@example.com").await, site.product("hat").await);
    let order = site.order(&user, &product).await;
    site.ordered_products(&user, &order.token).await;
    let products = site.broker.kafka().topic_name("products.events");
    kafka.tool("kafka-topics", &["--alter", "--topic", &products, "--partitions", "5"]);

    let of_owner = [products.as_str(), "has 5 partitions", "3 are configured"];
    let of_c = [products.as_str(), "has 5 partitions", "followed with 3", "keys have moved"];
    let of_d = ["products.events has 5 partitions", "built from 3"];
    trouble(&site, &site.urls.products, "relay", &of_owner).await;
    not_ready(&site, &site.urls.orders, &of_c).await;
    let stopped = site.status_when("D has stopped", |status| status["state"] == "stopped").await;
    names(&stopped["stopped"]["detail"], &of_d);

    assert_eq!(site.products.take().expect("it runs").terminate().code(), Some(0));
    for recover in [&[][..], &["--recover".to_owned()][..]] {
        let refused = process::run("products", &[&site.flags("products")[..], recover].concat());
        assert_eq!(refused.code, Some(1));
        names(&json!(refused.stderr), &of_owner);
    }
    site.orders.take().expect("it runs").kill();
    (site.orders, site.urls.orders) = site.service_unready("orders", "orders");
    not_ready(&site, &site.urls.orders, &of_c).await;
    site.query.take().expect("it runs").kill();
    (site.query, site.urls.query) = site.service_unready("query-api", "read-model");
    let stopped = site.status_when("D has stopped again", |status| status["state"] == "stopped").await;
    names(&stopped["stopped"]["detail"], &of_d);
    let replay = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(replay.code, Some(1), "{}", replay.stdout);
    names(&json!(replay.stderr), &of_owner);
}

/// Everything in it was kept by its service, which makes it and sends it again; D and C say that it is gone, and go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_that_was_deleted_is_made_anew_and_filled_again() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let before = system_tests::log::events(site.broker.kafka(), "users.events");
    delete_users(&kafka, &site).await;
    assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
    (site.users, site.urls.users) = site.service("users", "users").await;
    assert_filled_again(&site, before).await;
}

/// The same while the service runs: somebody else makes the topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_that_is_made_anew_under_its_service_is_filled_again() {
    let kafka = OwnKafka::start();
    let site = ordered(&kafka).await;
    let before = system_tests::log::events(site.broker.kafka(), "users.events");
    let topic = delete_users(&kafka, &site).await;
    let new = ["--create", "--topic", &topic, "--partitions", "3", "--replication-factor", "1"];
    let keeps_all = ["--config", "retention.ms=-1", "--config", "retention.bytes=-1"];
    kafka.tool("kafka-topics", &[&new[..], &keeps_all].concat());
    assert_filled_again(&site, before).await;
}

/// At the offsets and positions where they stood it has events by then, and those are not what comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_of_others_that_was_made_while_d_and_c_stood_still_is_not_gone_on_with() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let before = system_tests::log::events(site.broker.kafka(), "users.events");
    made_by_others(&kafka, &mut site, before).await;
}

/// Where they have read nothing yet, they know from the other partitions which log it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn nothing_of_others_is_taken_in_partitions_that_were_empty() {
    let kafka = OwnKafka::start();
    let mut site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    order_and_read(&site, "alone@example.com").await;
    let before = system_tests::log::events(site.broker.kafka(), "users.events");
    assert!(before.iter().any(Vec::is_empty), "{before:?}");
    made_by_others(&kafka, &mut site, before).await;
}

/// What others sent before anybody had claimed as often as the old service is skipped, as of a writer that was shut out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_of_others_with_earlier_epochs_does_not_pass_for_silence() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    started_again(&mut site, 3).await;
    let user = site.sign_up("of-the-fourth-epoch@example.com").await;
    site.ordered_products(&user, &user.token).await;
    let before = system_tests::log::events(site.broker.kafka(), "users.events");
    made_by_others(&kafka, &mut site, before).await;
}

/// The users' topic is made anew by others, while D and C stand still, and has more than `before` when they go on.
async fn made_by_others(kafka: &OwnKafka, site: &mut Site, before: Vec<Vec<Uuid>>) {
    let others = remade(kafka, site, before, 0, async |site| {
        remove(&site.data("users"));
        site.service("users", "users").await
    })
    .await;
    for restarted in [false, true] {
        if restarted {
            site.query.take().expect("it runs").kill();
            (site.query, site.urls.query) = site.service_unready("query-api", "read-model");
        }
        let stopped = site.status_when("D misses its events", |status| status["state"] == "stopped").await;
        names(&stopped["stopped"]["detail"], &["users.events", "recreated"]);
        assert_eq!(served(site, &others).await, 0);
    }
    not_ready(site, &site.urls.orders, &["users.events", "recreated"]).await;
}

/// The users' topic is deleted and made anew by the service that `start` starts, while D and C stand still, and has more than `before`
/// and so many claims behind that when they go on; who signed up meanwhile.
async fn remade(
    kafka: &OwnKafka,
    site: &mut Site,
    before: Vec<Vec<Uuid>>,
    claims: usize,
    start: impl AsyncFnOnce(&mut Site) -> (Option<Process>, String),
) -> Vec<Made> {
    let signal = |site: &Site, number| {
        [&site.orders, &site.query].map(|process| process.as_ref().expect("it runs").signal(number))
    };
    signal(site, libc::SIGSTOP);
    assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
    let topic = site.broker.kafka().topic_name("users.events");
    kafka.tool("kafka-topics", &["--delete", "--topic", &topic]);
    (site.users, site.urls.users) = start(site).await;
    let signed_up = before.concat().len();
    let mut others = Vec::new();
    for number in 0..USERS_MAX * USERS_MAX {
        let now = system_tests::log::events(site.broker.kafka(), "users.events");
        if before.iter().zip(&now).all(|(before, now)| now.len() > before.len() + CLAIMS_MAX) {
            break;
        }
        others.push(site.sign_up(&format!("other-{signed_up}-{number}@example.com")).await);
    }
    started_again(site, claims).await;
    signal(site, libc::SIGCONT);
    others
}

/// Waits until D shows all of these users: it may take until it has looked for its places again.
async fn until_served(site: &Site, users: &[Made]) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while served(site, users).await < users.len() {
        assert!(tokio::time::Instant::now() < deadline, "D does not show all users: {}", site.status().await);
        tokio::time::sleep(POLL).await;
    }
}

/// How many of these users D shows.
async fn served(site: &Site, users: &[Made]) -> usize {
    let mut served = 0;
    for user in users {
        let ask = || site.client.get(&site.ordered_products_url(user)).send();
        let answer = match ask().await {
            // A connection from before it stood still.
            Err(_) => ask().await,
            answer => answer,
        };
        served += usize::from(answer.expect("an answer").status != 404);
    }
    served
}

/// How its service comes to fill a topic again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refill {
    /// Behind the event that D and C applied last they had read claims, and there are events now.
    BehindClaims,
    /// The event that they applied last lies where it lay, and is of an epoch that is lower than the one in force was.
    WithoutItsEpoch,
    /// Behind those events there are claims again, and so what they read next counts.
    BeforeClaims,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_that_its_service_filled_again_while_d_and_c_stood_still_is_gone_on_with() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    for refill in [Refill::BehindClaims, Refill::WithoutItsEpoch, Refill::BeforeClaims] {
        let forgets = refill == Refill::WithoutItsEpoch;
        if !forgets {
            started_again(&mut site, 3).await;
        }
        let before = system_tests::log::events(site.broker.kafka(), "users.events");
        let claims = if refill == Refill::BeforeClaims { 2 * CLAIMS_MAX } else { 0 };
        let others = remade(&kafka, &mut site, before.clone(), claims, async |site| {
            if forgets {
                std::fs::remove_file(site.data("users").join("writer.json")).expect("it is there");
            }
            let flags = if forgets { &["--take-over"][..] } else { &[] };
            site.service_with("users", "users", flags).await
        })
        .await;
        until_served(&site, &others).await;
        assert_filled_again(&site, before).await;
    }
}

/// They had read claims only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn a_topic_that_was_begun_anew_before_its_first_event_is_followed() {
    let kafka = OwnKafka::start();
    let mut site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    started_again(&mut site, 3).await;
    let nothing = vec![Vec::new(); PARTITIONS as usize];
    let made = remade(&kafka, &mut site, nothing, 0, async |site| {
        remove(&site.data("users"));
        site.service("users", "users").await
    })
    .await;
    until_served(&site, &made).await;
    assert_filled_again(&site, vec![Vec::new(); PARTITIONS as usize]).await;
}

async fn started_again(site: &mut Site, times: usize) {
    for _ in 0..times {
        assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
        (site.users, site.urls.users) = site.service("users", "users").await;
    }
}

/// With an id of its own or the same one: that it is another log, the events say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn another_cluster_at_the_same_address_is_not_gone_on_with() {
    let kafka = OwnKafka::start();
    let mut site = ordered(&kafka).await;
    let lengths = |site: &Site| -> Vec<usize> {
        let events = |topic| system_tests::log::events(site.broker.kafka(), topic);
        schemas::TOPICS.into_iter().flat_map(events).map(|events| events.len()).collect()
    };
    let before = lengths(&site);
    for service in [site.users.take(), site.products.take(), site.orders.take()] {
        assert_eq!(service.expect("it runs").terminate().code(), Some(0));
    }
    let d = |site: &Site, signal| site.query.as_ref().expect("it runs").signal(signal);
    d(&site, libc::SIGSTOP);
    kafka.make_anew();
    (site.users, site.urls.users) = site.service("users", "other-users").await;
    (site.products, site.urls.products) = site.service("products", "other-products").await;
    (site.orders, site.urls.orders) = site.service("orders", "other-orders").await;
    let mut others = Vec::new();
    for number in 0..USERS_MAX * USERS_MAX {
        if lengths(&site).iter().zip(&before).all(|(now, before)| now > before) {
            break;
        }
        let user = site.sign_up(&format!("other-{number}@example.com")).await;
        let product = site.product(&format!("other product {number}")).await;
        site.order(&user, &product).await;
        others.push(user);
    }
    d(&site, libc::SIGCONT);
    for restarted in [false, true] {
        if restarted {
            site.query.take().expect("it runs").kill();
            (site.query, site.urls.query) = site.service_unready("query-api", "read-model");
        }
        // Where it was, or read from the beginning.
        let other = |status: &Value| {
            let kind = status["stopped"]["type"].as_str().unwrap_or_default();
            kind.ends_with("/other-log") || kind.ends_with("/fork")
        };
        let stopped = site.status_when("D is told that it is another log", other).await;
        names(&stopped["stopped"]["detail"], &["recreated", "another cluster"]);
        assert_eq!(served(&site, &others).await, 0);
    }
    let replay =
        site.projector(&["--replay", "--accept-difference", "another shop"]).await.expect("no panic");
    assert_eq!(replay.code, Some(0), "{}", replay.stderr);
    site.status_when("D follows the other cluster", |status| status["state"] == "following").await;
    assert_eq!(served(&site, &others).await, others.len());
}

/// Deletes the users' topic; returns its name once all have noticed.
async fn delete_users(kafka: &OwnKafka, site: &Site) -> String {
    let topic = site.broker.kafka().topic_name("users.events");
    kafka.tool("kafka-topics", &["--delete", "--topic", &topic]);
    let stopped = site.status_when("D misses the topic", |status| status["state"] == "stopped").await;
    names(&stopped["stopped"]["detail"], &[&topic, "does not exist any more"]);
    trouble(site, &site.urls.users, "relay", &[&topic, "does not exist"]).await;
    not_ready(site, &site.urls.orders, &[&topic, "does not exist any more, but was followed"]).await;
    let replay = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(replay.code, Some(1), "{}", replay.stdout);
    names(&json!(replay.stderr), &[&topic, "does not exist"]);
    topic
}

async fn assert_filled_again(site: &Site, before: Vec<Vec<Uuid>>) {
    site.status_when("D follows", |status| status["state"] == "following").await;
    order_and_read(site, &format!("new-{}@example.com", before.concat().len())).await;
    let after = system_tests::log::events(site.broker.kafka(), "users.events");
    assert!(before.iter().zip(&after).all(|(before, after)| after.starts_with(before)), "at their positions");
    let verified = site.projector(&["--verify", "--json"]).await.expect("no panic");
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

/// Each partition of the orders' topic has an event, and D has them all.
async fn ordered(kafka: &OwnKafka) -> Site {
    let site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    let mut partitions = HashSet::new();
    for number in 0..USERS_MAX {
        if partitions.len() == PARTITIONS as usize {
            break;
        }
        let user = site.sign_up(&format!("user-{number}@example.com")).await;
        let product = site.product(&format!("product {number}")).await;
        let order = site.order(&user, &product).await;
        site.ordered_products(&user, &format!("{},{},{}", user.token, product.token, order.token)).await;
        partitions.insert(partition_for_key(user.id.as_bytes(), PARTITIONS));
    }
    site.status_when("D has all", |status| status["lag_total"] == json!(0)).await;
    site
}

fn set(kafka: &OwnKafka, topic: &str, setting: &str) {
    let alter = ["--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", setting];
    kafka.tool("kafka-configs", &alter);
}

/// Waits until D tells all of this, and C what concerns the topics that it follows.
async fn told(site: &Site, retention: &[&str], compaction: &[&str], front: &[&str]) {
    trouble(site, &site.urls.orders, "following", &[retention, compaction].concat()).await;
    let all = |status: &Value| status["topic_faults"].as_array().is_some_and(|all| all.len() == 3);
    let status = site.status_when("D tells all three", all).await;
    assert_eq!(status["state"], "following", "{status}");
    for parts in [retention, compaction, front] {
        names(&json!(status["topic_faults"].to_string()), parts);
    }
    for (url, figure) in
        [(&site.urls.query, "daybook_topic_faults 3\n"), (&site.urls.orders, "daybook_topic_faults 3\n")]
    {
        let metrics =
            site.client.get(&format!("{url}/metrics")).send_ok().await.expect("it has metrics").body;
        names(&metrics, &[figure]);
    }
}

async fn order_and_read(site: &Site, email: &str) {
    let user = site.sign_up(email).await;
    let product = site.product("after").await;
    let order = site.order(&user, &product).await;
    let shown = site.ordered_products(&user, &order.token).await.body;
    assert_eq!(shown["products"][0]["orders"], 1, "{shown}");
}
