//! What an idempotency key keeps of a refusal that rests on what C has not heard of: nothing.
//! Of the kernel, and with the shop: the refusal is one of C's rules.

use serde_json::json;
use uuid::Uuid;

use crate::testing::{Call, Log, Shop, eventually, order, write_raw};

/// Signs somebody up behind all that the users' topic has, where the users' service has stopped; the token of it.
fn sign_up(shop: &Shop, user_id: &str) -> String {
    let kafka = shop.broker.kafka("");
    let log = Log::read(&kafka, "users.events");
    let partition = log.partitions.iter().position(|records| !records.is_empty()).unwrap();
    let (_, last) = log.partitions[partition].last().unwrap();
    let mut event: serde_json::Value = serde_json::from_slice(last).unwrap();
    let position = event["sequence"].as_str().unwrap().parse::<u64>().unwrap() + 1;
    event["sequence"] = json!(format!("{position:020}"));
    event["previousid"] = event["id"].take();
    event["id"] = json!(Uuid::now_v7().to_string());
    event["subject"] = json!(user_id);
    event["data"]["user_id"] = json!(user_id);
    write_raw(&kafka, "users.events", &[(partition as i32, event.to_string().as_bytes())]);
    format!("users.events/{partition}@{position}")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_keeps_the_refusal_of_what_c_had_not_heard_of_yet() {
    let mut shop = Shop::start();
    let (_, product_id, after) = shop.user_and_product("ada@example.org").await;
    let user_id = Uuid::now_v7().to_string();
    let placed = |after: &str| {
        order(&user_id, &product_id).header("daybook-after", after).header("idempotency-key", "one")
    };
    let early = placed(&after).send(&shop.orders.router).await;
    assert!(early.is_problem(422, "buyer-unknown").text("detail").contains("Daybook-After"), "{early:?}");
    assert_eq!(shop.orders.journal_keys(), 0);

    shop.users.relayed();
    shop.users.stop();
    let signed_up = sign_up(&shop, &user_id);
    let first = placed(&signed_up).send(&shop.orders.router).await;
    let again = placed(&signed_up).send(&shop.orders.router).await;
    assert_eq!(first.is(201).body, again.is(201).body);
    eventually("the key to be kept", || (shop.orders.journal_keys() == 1).then_some(()));
    let refused = placed(&signed_up).header("if-match", "\"7\"").send(&shop.orders.router).await;
    refused.is_problem(422, "idempotency-key-reused");
}

/// A refusal that rests on what C knows is for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_keeps_the_refusal_of_what_c_knows() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    let placed = order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await;
    let path = format!("/orders/{}", placed.is(201).text("order_id"));
    let cancel = || Call::delete(&path);
    cancel().send(&shop.orders.router).await.is(204);
    let late = cancel().header("idempotency-key", "two").send(&shop.orders.router).await;
    late.is_problem(409, "already-cancelled");
    assert_eq!(shop.orders.journal_keys(), 1);
}
