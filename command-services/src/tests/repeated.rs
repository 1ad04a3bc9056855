//! Every kind of answer, and the same request once more.

use serde_json::{Value, json};

use crate::testing::{Call, Reply, Shop, TestService, eventually, order, token};
use daybook_command::Aggregate;

async fn twice<A: Aggregate>(service: &TestService<A>, key: &str, call: Call) -> Reply {
    let call = call.header("idempotency-key", key);
    let first = call.clone().send(&service.router).await;
    let again = call.send(&service.router).await;
    assert_eq!((first.status, &first.headers, &first.body), (again.status, &again.headers, &again.body));
    first
}

fn has(reply: &Reply, etag: Option<&str>, location: Option<&str>, token: bool) {
    let headers = (reply.header("etag"), reply.header("location"), reply.header("daybook-token").is_some());
    assert_eq!(headers, (etag, location, token), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_the_same_when_its_request_is_repeated() {
    let shop = Shop::start();
    let ada = json!({"email": "ada@example.org", "name": "Ada", "address": "1 Row"});
    let made = twice(&shop.users, "1", Call::post("/users", &ada)).await;
    let path = format!("/users/{}", made.is(201).text("user_id"));
    has(&made, Some("\"1\""), Some(&path), true);
    let taken = twice(&shop.users, "2", Call::post("/users", &ada)).await;
    taken.is_problem(409, "email-taken").names("email");
    has(&taken, None, None, false);
    let moved = |address: &str| Call::patch(&path, &json!({"address": address}));
    has(twice(&shop.users, "3", moved("2 Row")).await.is(200), Some("\"2\""), None, true);
    has(twice(&shop.users, "4", moved("2 Row")).await.is(200), Some("\"2\""), None, true);
    let late = twice(&shop.users, "5", moved("3 Row").header("if-match", "\"1\"")).await;
    assert_eq!(late.is_problem(412, "precondition-failed").json()["version"], 2);

    let (user_id, product_id, after) = shop.user_and_product("eve@example.org").await;
    eventually("C to be ready", || shop.orders.not_ready().is_none().then_some(()));
    let placed = order(&user_id, &product_id).header("daybook-after", &after);
    let placed = twice(&shop.orders, "1", placed).await;
    let order_path = format!("/orders/{}", placed.is(201).text("order_id"));
    has(&placed, Some("\"1\""), Some(&order_path), true);
    // A cancelled order can still be looked at, and nobody wants to see it when it is cancelled.
    let cancelled = twice(&shop.orders, "2", Call::delete(&order_path)).await;
    has(cancelled.is(204), None, None, true);
    assert!(cancelled.body.is_empty() && token(&cancelled).ends_with(&after), "{cancelled:?}");
    let shown: Value = Call::get(&order_path).send(&shop.orders.router).await.json();
    assert_eq!(shown["status"], "cancelled");

    has(twice(&shop.users, "6", Call::delete(&path)).await.is(204), None, None, true);
    twice(&shop.users, "7", Call::delete(&path)).await.is_problem(404, "user-deleted");
    Call::get(&path).send(&shop.users.router).await.is_problem(404, "user-deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_members_does_not_matter_under_a_key() {
    let shop = Shop::start();
    let sign_up = async |body: &str| {
        let call = Call::post("/users", &json!({})).header("idempotency-key", "k");
        call.body(body.to_owned()).send(&shop.users.router).await
    };
    let first = sign_up(r#"{"email":"ada@example.org","name":"Ada","address":"1 Row"}"#).await;
    let again = sign_up(r#"{"name":"Ada", "address":"1 Row", "email":"ada@example.org"}"#).await;
    assert_eq!((&first.is(201).body, &first.headers), (&again.is(201).body, &again.headers));
    let other = sign_up(r#"{"name":"1 Row", "address":"Ada", "email":"ada@example.org"}"#).await;
    other.is_problem(422, "idempotency-key-reused");
}
