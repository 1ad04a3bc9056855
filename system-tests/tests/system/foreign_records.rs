//! Records in a topic that its service did not write: noticed while services run and at their next start, and named.

use daybook_kafka::{Outgoing, Writer, partition_for_key};
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::site::{Made, Site};
use system_tests::{log, process, wait};

use crate::said::{names, not_ready, trouble};

super::on_both_brokers!(an_event_of_another_service_stops_all_who_read_it, another_service);
super::on_both_brokers!(a_record_that_is_no_event_stops_owner_and_c_and_parks_its_key_in_d, no_event);

const USERS: &str = schemas::users::TOPIC;

async fn another_service(broker: TestBroker) {
    let (mut site, user, product) = ordered(broker).await;
    let products = log::records(site.broker.kafka(), schemas::products::TOPIC);
    let (partition, event) = (0..)
        .zip(products)
        .find_map(|(partition, events)| Some((partition, events.into_iter().next()?)))
        .expect("one");
    write(&site, partition, &product.id, &event.record.1);
    let (found, expected) = (format!("/products/{partition}"), format!("/users/{partition}"));
    let id = event.id.to_string();
    let said = [found.as_str(), &expected, &id];

    trouble(&site, &site.urls.users, "relay", &said).await;
    let foreign = |status: &Value| status["stopped"]["type"] == "/problems/foreign-source";
    for again in [false, true] {
        if again {
            start_again(&mut site, &said).await;
        }
        not_ready(&site, &site.urls.orders, &said).await;
        let status = site.status_when("D has stopped", foreign).await;
        names(&status["stopped"]["detail"], &said);
        assert_eq!(site.ordered_products(&user, "").await.body["products"][0]["orders"], 1);
    }
    let replay = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(replay.code, Some(1), "{}", replay.stdout);
    names(&json!(replay.stderr), &said);
}

async fn no_event(broker: TestBroker) {
    let (mut site, user, _) = ordered(broker).await;
    write(&site, partition_for_key(user.id.as_bytes(), PARTITIONS), &user.id, b"hello");
    let said = ["users.events partition", "no event that can be read", "find out who wrote it"];

    trouble(&site, &site.urls.users, "relay", &said).await;
    let parked =
        |status: &Value| status["quarantine"][0]["key"] == json!(user.id) && status["state"] == "following";
    for again in [false, true] {
        if again {
            start_again(&mut site, &said).await;
        }
        not_ready(&site, &site.urls.orders, &said).await;
        site.status_when("D follows and shows its key", parked).await;
        let shown = site.ordered_products(&user, "").await.body;
        assert_eq!((&shown["products"][0]["orders"], &shown["quarantined"]), (&json!(1), &json!([user.id])));
    }
}

/// The owner refuses to start, also with `--recover`; C and D are started again.
async fn start_again(site: &mut Site, said: &[&str]) {
    site.users.take().expect("it runs").kill();
    for recover in [&[][..], &["--recover".to_owned()][..]] {
        let refused = process::run("users", &[&site.flags("users")[..], recover].concat());
        assert_eq!(refused.code, Some(1));
        names(&json!(refused.stderr), said);
    }
    site.orders.take().expect("it runs").kill();
    (site.orders, site.urls.orders) = site.service_unready("orders", "orders");
    site.query.take().expect("it runs").kill();
    (site.query, site.urls.query) = site.service_unready("query-api", "read-model");
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
