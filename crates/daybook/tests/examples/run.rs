//! The examples as whole programs: commands and queries over HTTP, parts alone, and the projector's command line.

use std::num::NonZeroU32;

use daybook::kafka::embedded::EmbeddedBroker;
use daybook::prelude::*;
use daybook::testing::{PARTITIONS, history};
use schemas::orders::{OrderCancelled, OrderPlaced};
use schemas::products::{ProductDetails, ProductDiscontinued};
use schemas::{OrderEvent, ProductEvent};
use serde_json::json;

use crate::program::{Answer, Program, get, output, post, post_after};

const ANY_PORT: &str = "127.0.0.1:0";

/// The text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap().0
}

/// Says what it was asked for, and ends well.
#[track_caller]
fn done(example: &str, arguments: &[&str]) -> String {
    let output = output(example, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, sentence: &str) {
    let output = output("bank", arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn the_bank_runs_in_one_process_and_its_read_model_is_built_again() {
    let mut bank = Program::start("bank", &["--listen", ANY_PORT]);
    let (commands, queries) = (bank.says("  accounts "), bank.says("  query-api "));

    let opened = post(&format!("{commands}/accounts"), r#"{"owner":"Ada"}"#);
    assert_eq!(opened.status, 201, "{opened:?}");
    let path = opened.header("location").to_owned();
    let paid = post(&format!("{commands}{path}/deposit"), r#"{"cents":500}"#);
    assert_eq!((paid.status, paid.body.as_str()), (200, r#"{"owner":"Ada","cents":500}"#));
    let refused = post(&format!("{commands}{path}/withdraw"), r#"{"cents":700}"#);
    assert_eq!((refused.status, &refused.json()["type"]), (409, &json!("/problems/insufficient-funds")));
    let unknown = post(&format!("{commands}{path}/deposit"), r#"{"cents":5,"coins":2}"#);
    assert_eq!((unknown.status, &unknown.json()["field"]), (422, &json!("coins")));

    let balance = get(&format!("{queries}{path}"), paid.header("daybook-token"));
    let account = path.trim_start_matches("/accounts/");
    let expected = format!(r#"{{"account":"{account}","balance":500}}"#);
    assert_eq!((balance.status, balance.body), (200, expected.clone()));
    let nobody = get(&format!("{queries}/accounts/{}", Uuid::nil()), "");
    assert_eq!((nobody.status, &nobody.json()["type"]), (404, &json!("/problems/not-found")));

    let broker = between(&bank.said, "broker at ", " with its data in ").to_owned();
    let directory = format!("{}/read-model", between(&bank.said, " with its data in ", ","));
    let projector = |task: &str| {
        let place = ["--brokers", &broker, "--embedded-broker", "--data-dir", &directory];
        done("bank", &[&["projector", task, "--json"], &place[..]].concat())
    };
    assert!(projector("--replay").contains(r#""generation":"gen-000002""#));
    assert!(projector("--status").contains("gen-000002"));
    assert_eq!(get(&format!("{queries}{path}"), paid.header("daybook-token")).body, expected);

    let (ended, rest) = bank.interrupt();
    assert!(ended.success() && rest.contains("stopping ..."), "{ended}: {rest}");
}

#[test]
fn each_part_of_the_bank_runs_alone() {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("accounts.events", PARTITIONS).unwrap();
    let (kafka, directory) = (broker.kafka(""), tempfile::tempdir().unwrap());
    let start = |part: &str| {
        let place = directory.path().join(part);
        let partitions = PARTITIONS.to_string();
        let log = ["--brokers", &kafka.brokers, "--embedded-broker", "--partitions", &partitions];
        let place = ["--listen", ANY_PORT, "--data-dir", place.to_str().unwrap()];
        Program::start("bank", &[&[part][..], &log, &place].concat())
    };
    let (mut commands, mut queries) = (start("accounts"), start("query-api"));
    let [at, asked] = [&mut commands, &mut queries]
        .map(|program| format!("http://{}", program.says(": listening on ").split(' ').next().unwrap()));
    let opened = post(&format!("{at}/accounts"), r#"{"owner":"Ada"}"#);
    assert_eq!(opened.status, 201, "{opened:?}");
    let balance = get(&format!("{asked}{}", opened.header("location")), opened.header("daybook-token"));
    assert_eq!((balance.status, &balance.json()["balance"]), (200, &json!(0)), "{balance:?}");
    for part in [commands, queries] {
        assert!(part.interrupt().0.success());
    }
}

#[test]
fn the_bank_refuses_by_name_what_it_cannot_do() {
    refused(&["--data-dir", "data"], 2, "--data-dir: without --brokers");
    refused(&["--partitions", "0", "--listen", "x"], 2, "--partitions");
    refused(&["--listen", ANY_PORT, "accounts"], 2, "accounts");
    refused(&["accounts", "--partitions", "0"], 2, "--partitions");
    refused(&["transfers"], 2, "transfers");
    refused(&["projector"], 2, "--replay");
    refused(&["projector", "--status", "--data-dir", "/nowhere"], 2, "/nowhere");
}

#[test]
fn the_second_view_answers_from_the_shops_log() {
    let [user, other, product] = [1, 2, 3].map(Uuid::from_u128);
    let placed = |order: u128, user_id| {
        let order_id = Uuid::from_u128(order);
        OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id: product, quantity: NonZeroU32::MIN })
    };
    let cancelled = |order: u128, user_id| {
        let order_id = Uuid::from_u128(order);
        OrderEvent::Cancelled(OrderCancelled { order_id, user_id, product_id: product })
    };
    let events = [placed(10, user), placed(11, user), placed(12, other), cancelled(12, other)];
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("orders.events", PARTITIONS).unwrap();
    let kafka = broker.kafka("");
    const ORDERS: Projection<OrderEvent> = Projection::of(1, &[]);
    let token = history(ORDERS, events).write_to(&kafka);

    let (directory, partitions) = (tempfile::tempdir().unwrap(), PARTITIONS.to_string());
    let arguments =
        ["query-api", "--brokers", &kafka.brokers, "--embedded-broker", "--partitions", &partitions];
    let place = ["--listen", ANY_PORT, "--data-dir", directory.path().to_str().unwrap()];
    let mut view = Program::start("second_view", &[&arguments[..], &place].concat());
    let listens = view.says(": listening on ");
    view.says("serving generation");
    let url = format!("http://{}/products/{product}/users", listens.split(' ').next().unwrap());
    let buyers = get(&url, &token).json();
    assert_eq!(buyers, json!({ "product_id": product, "users": { user.to_string(): 2 } }));
    assert!(view.interrupt().0.success());
}

#[test]
fn the_inventory_reserves_stock_at_the_price_that_the_products_service_has_told() {
    let [lamp, rug, gone] = [1, 2, 3].map(Uuid::from_u128);
    let of = |product_id, price_cents| {
        let (title, image) = ("a product".to_owned(), "it.jpg".to_owned());
        ProductDetails { product_id, title, image, price_cents }
    };
    let broker = EmbeddedBroker::start().unwrap();
    for topic in ["products.events", "inventory.events"] {
        broker.create_topic(topic, PARTITIONS).unwrap();
    }
    let kafka = broker.kafka("");
    const PRODUCTS: Projection<ProductEvent> = Projection::of(1, &[]);
    let events = [
        ProductEvent::Created(of(lamp, Some(4999))),
        ProductEvent::Created(of(rug, None)),
        ProductEvent::Created(of(gone, Some(100))),
        ProductEvent::Changed(of(lamp, Some(3999))),
        ProductEvent::Discontinued(ProductDiscontinued { product_id: gone }),
    ];
    let told = history(PRODUCTS, events).write_to(&kafka);

    let (directory, partitions) = (tempfile::tempdir().unwrap(), PARTITIONS.to_string());
    let arguments =
        ["inventory", "--brokers", &kafka.brokers, "--embedded-broker", "--partitions", &partitions];
    let place = ["--listen", ANY_PORT, "--data-dir", directory.path().to_str().unwrap()];
    let mut inventory = Program::start("inventory", &[&arguments[..], &place].concat());
    let at = format!("http://{}", inventory.says(": listening on ").split(' ').next().unwrap());
    let send = |product: Uuid, action: &str, pieces: u64| {
        post_after(&format!("{at}/stock/{product}/{action}"), &format!(r#"{{"pieces":{pieces}}}"#), &told)
    };
    let kind = |answer: Answer| (answer.status, answer.json()["type"].as_str().unwrap().to_owned());
    for product in [lamp, rug, gone] {
        assert_eq!(send(product, "deliveries", 10).status, 201);
    }
    let reserved = send(lamp, "reservations", 3);
    assert_eq!((reserved.status, &*reserved.body), (200, r#"{"free":7,"taken":3}"#));
    // The token names the event that told of the price, so that who reads with it sees that price.
    let token = reserved.header("daybook-token");
    assert!(token.starts_with("inventory.events/") && token.contains(",products.events/"), "{token}");
    assert_eq!(kind(send(lamp, "reservations", 8)), (409, "/problems/stock-too-low".to_owned()));
    for product in [rug, gone] {
        assert_eq!(kind(send(product, "reservations", 1)), (409, "/problems/not-for-sale".to_owned()));
    }
    assert_eq!(kind(send(Uuid::nil(), "reservations", 1)), (404, "/problems/stock-unknown".to_owned()));
    assert!(inventory.interrupt().0.success());
}

#[test]
fn an_old_version_is_read_as_the_new_one() {
    assert!(done("upcast", &[]).contains(r#"currency: "EUR""#));
}
