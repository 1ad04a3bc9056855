//! Records in a topic that its service did not write: they are set aside, shown, and stop nobody, now and at the next start.

use daybook_kafka::{Outgoing, Writer, partition_for_key};
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::site::{Made, Site};
use system_tests::{log, wait};

super::on_both_brokers!(records_that_are_no_events_stop_nobody_and_are_shown_by_all, set_aside);

const USERS: &str = schemas::users::TOPIC;
/// As much as a broker takes that nobody has told otherwise.
const NOISE_BYTES: usize = 900_000;
/// An event of another service, what cannot be read, nothing at all, and noise.
const RECORDS: u64 = 4;

async fn set_aside(broker: TestBroker) {
    let (mut site, user, product) = ordered(broker).await;
    let products = log::records(site.broker.kafka(), schemas::products::TOPIC);
    let others = products.into_iter().flatten().next().expect("one").record.1;
    let partition = partition_for_key(user.id.as_bytes(), PARTITIONS);
    for value in [&others[..], b"hello", b"", &vec![b'x'; NOISE_BYTES]] {
        write(&site, partition, &user.id, value);
    }
    let shown = |of: &Value| {
        of[0]["topic"] == json!(USERS)
            && of[0]["partition"] == json!(partition)
            && of[0]["records"] == json!(RECORDS)
    };
    until(&site, &site.urls.users, |body| shown(&body["relay"]["set_aside"])).await;
    until(&site, &site.urls.orders, |body| shown(&body["following"]["set_aside"])).await;
    let unproven = |status: &Value| {
        let ends = status["partitions"].as_array().into_iter().flatten();
        let unproven = ends.filter(|at| at["end_unproven"] == json!(true)).count();
        shown(&status["set_aside"]) && unproven == 1 && status["state"] == "following"
    };
    site.status_when("D shows them", unproven).await;

    let epoch = epoch(&site);
    goes_on(&site, &product, partition, "running").await;
    assert_eq!(self::epoch(&site), epoch, "without a new claim");
    let proven = |status: &Value| {
        let mut ends = status["partitions"].as_array().into_iter().flatten();
        shown(&status["set_aside"]) && ends.all(|at| at["end_unproven"] == json!(false))
    };
    site.status_when("D has read an event behind them", proven).await;
    for more in [&[][..], &["--recover"], &[]] {
        site.users.take().expect("it runs").kill();
        (site.users, site.urls.users) = site.service_with("users", "users", more).await;
        site.orders.take().expect("it runs").kill();
        (site.orders, site.urls.orders) = site.service("orders", "orders").await;
        site.query.take().expect("it runs").kill();
        site.start_query().await;
        goes_on(&site, &product, partition, &more.join("")).await;
        site.status_when("D shows them after a restart", proven).await;
    }
    assert_eq!(site.ordered_products(&user, "").await.body["products"][0]["orders"], 1);
    for task in [&["--replay"][..], &["--verify"]] {
        let done = site.projector(task).await.expect("no panic");
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
}

/// The epoch in which the users' service writes.
fn epoch(site: &Site) -> u32 {
    let records = log::records(site.broker.kafka(), USERS);
    records.iter().flatten().map(|record| record.epoch).max().expect("an event")
}

/// New users are signed up, one of them at least in this partition, and what they order is shown.
async fn goes_on(site: &Site, product: &Made, partition: i32, label: &str) {
    for number in 0.. {
        let user = site.sign_up(&format!("user{label}-{number}@example.com")).await;
        let order = site.order(&user, product).await;
        let after = format!("{},{}", user.token, order.token);
        assert_eq!(site.ordered_products(&user, &after).await.body["products"][0]["orders"], 1);
        if partition_for_key(user.id.as_bytes(), PARTITIONS) == partition {
            return;
        }
    }
}

/// Waits until a service that is ready says so.
async fn until(site: &Site, url: &str, says: impl Fn(&Value) -> bool) {
    let deadline = tokio::time::Instant::now() + wait::DEADLINE;
    loop {
        let answer = site.client.get(&format!("{url}/health/ready")).send().await.expect("it answers");
        if answer.status == 200 && says(&answer.body) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{url} says {answer:?}");
        tokio::time::sleep(crate::said::POLL).await;
    }
}

/// A user with an order, which D has.
async fn ordered(broker: TestBroker) -> (Site, Made, Made) {
    let site = Site::start(broker).await;
    let (user, product) = (site.sign_up("jill@example.com").await, site.product("pants").await);
    let order = site.order(&user, &product).await;
    site.ordered_products(&user, &format!("{},{},{}", user.token, product.token, order.token)).await;
    (site, user, product)
}

fn write(site: &Site, partition: i32, key: &str, value: &[u8]) {
    let writer =
        Writer::open(site.broker.kafka(), |delivery| assert!(delivery.result.is_ok())).expect("a writer");
    let record = Outgoing { topic: USERS, partition, key: key.as_bytes(), value, headers: &[], tag: 0 };
    writer.send(record).expect("room for one record");
    writer.flush(wait::DEADLINE).expect("it is written");
}
