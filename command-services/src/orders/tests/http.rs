//! Statuses, headers and bodies of every endpoint, through the router.

use axum::http::Method;
use serde_json::json;

use crate::testing::{Call, Log, Shop, order, token};

const NOBODY: &str = "018f8e3e-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_orders_a_product_and_cancels() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    let placed = order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await;
    let order_id = placed.is(201).text("order_id");
    let path = format!("/orders/{order_id}");
    assert_eq!((placed.header("location"), placed.header("etag")), (Some(&*path), Some("\"1\"")));
    let whole = json!({
        "order_id": order_id, "user_id": user_id, "product_id": product_id, "quantity": 1, "status": "placed"
    });
    assert_eq!(placed.json(), whole);
    assert!(token(&placed).starts_with("orders.events/"));
    let shown = Call::get(&path).send(&shop.orders.router).await;
    assert_eq!((shown.is(200).json(), shown.header("etag")), (whole, Some("\"1\"")));

    let cancelled = Call::delete(&path).send(&shop.orders.router).await;
    assert!(!token(cancelled.is(204)).is_empty());
    let shown = Call::get(&path).send(&shop.orders.router).await;
    assert_eq!((&shown.is(200).json()["status"], shown.header("etag")), (&json!("cancelled"), Some("\"2\"")));
    Call::delete(&path).send(&shop.orders.router).await.is_problem(409, "already-cancelled");

    shop.orders.relayed();
    let log = Log::read(&shop.broker.kafka(""), "orders.events");
    assert!(log.partitions.iter().flatten().all(|(key, _)| *key == user_id), "orders lie with their user");
    let events = log.events();
    assert_eq!(
        (&events[0]["type"], &events[1]["type"]),
        (&json!("shop.order.placed.v2"), &json!("shop.order.cancelled.v1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_names_the_user_and_product_that_the_order_rests_on() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    let place =
        || order(&user_id, &product_id).header("daybook-after", &after).header("idempotency-key", "once");
    let placed = place().send(&shop.orders.router).await;
    let whole = token(placed.is(201));
    let (own, rests_on) = whole.split_once(',').unwrap();
    assert!(own.starts_with("orders.events/"), "{whole}");
    assert_eq!(rests_on, after);
    let repeated = place().send(&shop.orders.router).await;
    assert_eq!(token(repeated.is(201)), whole);

    let cancelled = Call::delete(placed.header("location").unwrap()).send(&shop.orders.router).await;
    assert!(token(cancelled.is(204)).ends_with(&format!(",{after}")), "{}", token(&cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    let post = async |body| Call::post("/orders", &body).send(&shop.orders.router).await;
    let body = |member: &str, value: serde_json::Value| {
        let mut body = json!({"user_id": user_id, "product_id": product_id});
        body[member] = value;
        body
    };
    post(body("user_id", json!(NOBODY))).await.is_problem(422, "buyer-unknown").names("user_id");
    post(body("product_id", json!(NOBODY)))
        .await
        .is_problem(422, "ordered-product-unknown")
        .names("product_id");
    post(body("user_id", json!("ada"))).await.is_problem(422, "invalid-body").names("user_id");
    for other in [user_id.replace('-', ""), user_id.to_uppercase()] {
        post(body("user_id", json!(other))).await.is_problem(422, "invalid-body").names("user_id");
    }
    post(body("quantity", json!(0))).await.is_problem(422, "invalid-field").names("quantity");
    post(body("quantity", json!(1.5))).await.is_problem(422, "invalid-body").names("quantity");
    post(body("quantity", json!(null))).await.is_problem(422, "invalid-body").names("quantity");
    post(body("gift", json!(true))).await.is_problem(422, "invalid-body").names("gift");
    let twice = Call::post("/orders", &body("quantity", json!(2.0))).header("daybook-after", &after);
    assert_eq!(twice.send(&shop.orders.router).await.is(201).json()["quantity"], 2);
    post(json!({"user_id": user_id})).await.is_problem(422, "invalid-body").names("product_id");
    let path = format!("/orders/{NOBODY}");
    Call::get(&path).send(&shop.orders.router).await.is_problem(404, "order-unknown");
    Call::delete(&path).send(&shop.orders.router).await.is_problem(404, "order-unknown");
    Call::get("/orders/1")
        .send(&shop.orders.router)
        .await
        .is_problem(400, "malformed-id")
        .names_parameter("order_id");
    Call::new(Method::PATCH, &path).send(&shop.orders.router).await.is_problem(405, "method-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_not_ordered_but_orders_of_it_can_be_cancelled() {
    let shop = Shop::start();
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    let placed = order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await;
    let path = placed.is(201).header("location").unwrap().to_owned();

    let gone = Call::delete(format!("/products/{product_id}")).send(&shop.products.router).await;
    let after_gone = || order(&user_id, &product_id).header("daybook-after", &token(&gone));
    after_gone()
        .send(&shop.orders.router)
        .await
        .is_problem(409, "ordered-product-discontinued")
        .names("product_id");
    let gone = Call::delete(format!("/users/{user_id}")).send(&shop.users.router).await;
    let after_gone = order(&user_id, &product_id).header("daybook-after", &token(&gone));
    after_gone.send(&shop.orders.router).await.is_problem(409, "buyer-deleted").names("user_id");
    Call::delete(&path).send(&shop.orders.router).await.is(204);
}
