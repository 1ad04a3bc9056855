//! Statuses, headers and bodies of every endpoint, through the router.

use axum::http::Method;
use serde_json::{Value, json};

use crate::products::Products;
use crate::testing::products_router as router;
use crate::testing::{Call, Log, TestService, broker};

fn pants() -> Value {
    json!({"title": "pants", "image": "pants.jpg"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_created_changed_and_discontinued() {
    let broker = broker();
    let products = TestService::<Products>::start(broker.kafka(""), router);
    let created = Call::post("/products", &pants()).send(&products.router).await;
    let product_id = created.is(201).text("product_id");
    let path = format!("/products/{product_id}");
    assert_eq!((created.header("location"), created.header("etag")), (Some(&*path), Some("\"1\"")));
    let whole =
        json!({"product_id": product_id, "title": "pants", "image": "pants.jpg", "price_cents": null});
    assert_eq!(created.json(), whole);
    assert!(created.header("daybook-token").unwrap().starts_with("products.events/"));

    let priced = Call::patch(&path, &json!({"price_cents": 1999})).send(&products.router).await;
    assert_eq!(priced.is(200).json()["price_cents"], 1999);
    let titled = Call::patch(&path, &json!({"title": "trousers"})).send(&products.router).await;
    assert_eq!((&titled.is(200).json()["price_cents"], titled.header("etag")), (&json!(1999), Some("\"3\"")));
    let free = Call::patch(&path, &json!({"price_cents": null})).send(&products.router).await;
    assert_eq!(free.is(200).json()["price_cents"], Value::Null);

    let shown = Call::get(&path).send(&products.router).await;
    assert_eq!((shown.is(200).json(), shown.header("etag")), (free.json(), Some("\"4\"")));
    Call::delete(&path)
        .header("if-match", "\"3\"")
        .send(&products.router)
        .await
        .is_problem(412, "precondition-failed");
    let gone = Call::delete(&path).header("if-match", "\"4\"").send(&products.router).await;
    assert!(gone.is(204).header("daybook-token").is_some());
    Call::get(&path).send(&products.router).await.is_problem(404, "product-discontinued");
    Call::delete(&path).send(&products.router).await.is_problem(404, "product-discontinued");

    products.relayed();
    let events = Log::read(&broker.kafka(""), "products.events").events();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "shop.product.created.v2",
            "shop.product.changed.v2",
            "shop.product.changed.v2",
            "shop.product.changed.v2",
            "shop.product.discontinued.v1"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named() {
    let broker = broker();
    let products = TestService::<Products>::start(broker.kafka(""), router);
    let post = async |member: &str, value: Value| {
        let mut body = pants();
        body[member] = value;
        Call::post("/products", &body).send(&products.router).await
    };
    post("title", json!("")).await.is_problem(422, "invalid-field").names("title");
    post("image", json!(null)).await.is_problem(422, "invalid-body").names("image");
    post("price_cents", json!(-5)).await.is_problem(422, "invalid-field").names("price_cents");
    post("price_cents", json!("5")).await.is_problem(422, "invalid-body").names("price_cents");
    post("price_cents", json!(5.5)).await.is_problem(422, "invalid-body").names("price_cents");
    post("colour", json!("blue")).await.is_problem(422, "invalid-body").names("colour");
    Call::post("/products", &json!({"title": "pants"}))
        .send(&products.router)
        .await
        .is_problem(422, "invalid-body")
        .names("image");
    let path = "/products/018f8e3e-0000-7000-8000-000000000000";
    Call::get(path).send(&products.router).await.is_problem(404, "product-unknown");
    Call::patch(path, &json!({"title": "x"})).send(&products.router).await.is_problem(404, "product-unknown");
    Call::delete(path).send(&products.router).await.is_problem(404, "product-unknown");
    Call::get("/products/7")
        .send(&products.router)
        .await
        .is_problem(400, "malformed-id")
        .names_parameter("product_id");
    Call::new(Method::PUT, path).send(&products.router).await.is_problem(405, "method-not-allowed");
    products.relayed();
    assert!(Log::read(&broker.kafka(""), "products.events").events().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_speaks_of_no_unique_keys_that_products_do_not_have() {
    let broker = broker();
    let mut products = TestService::<Products>::start(broker.kafka(""), router);
    Call::post("/products", &pants()).send(&products.router).await.is(201);
    products.relayed();
    products.stop();
    broker.set_leader("products.events", 0, None).unwrap();
    products.restart(|_| {}).unwrap();
    let ready = Call::get("/health/ready").send(&products.router).await.is(200).json();
    let refused = ready["commands"]["refused"].as_str().unwrap();
    assert!(refused.contains("partition 0") && refused.contains("are taken once it is"), "{refused}");
    assert!(!refused.contains("unique key"), "{refused}");
}
