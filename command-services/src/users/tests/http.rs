//! Statuses, headers and bodies of every endpoint, through the router.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::users_router as router;
use crate::testing::{Call, Log, TestService, broker};
use crate::users::Users;

fn ada() -> Value {
    json!({"email": "ada@example.org", "name": "Ada", "address": "1 Analytical Row"})
}

fn with(member: &str, value: Value) -> Value {
    let mut body = ada();
    body[member] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_up_changes_and_goes() {
    let broker = broker();
    let users = TestService::<Users>::start(broker.kafka(""), router);
    let signed_up = Call::post("/users", &ada()).send(&users.router).await;
    let user_id = signed_up.is(201).text("user_id");
    let path = format!("/users/{user_id}");
    assert_eq!(signed_up.header("location"), Some(&*path));
    assert_eq!(signed_up.header("etag"), Some("\"1\""));
    assert_eq!(signed_up.header("content-type"), Some("application/json"));
    assert_eq!(signed_up.json(), with("user_id", json!(user_id)));
    assert!(signed_up.header("daybook-token").unwrap().starts_with("users.events/"));

    let changed = Call::patch(&path, &json!({"name": "Countess"})).send(&users.router).await;
    changed.is(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    assert!(changed.header("daybook-token").is_some());
    assert_eq!(changed.text("name"), "Countess");

    let unchanged = Call::patch(&path, &json!({"name": "Countess"})).send(&users.router).await;
    unchanged.is(200);
    let token = changed.header("daybook-token");
    assert_eq!((unchanged.header("etag"), unchanged.header("daybook-token")), (Some("\"2\""), token));

    let shown = Call::get(&path).send(&users.router).await;
    shown.is(200);
    assert_eq!((shown.json(), shown.header("etag")), (changed.json(), Some("\"2\"")));

    let deleted = Call::delete(&path).send(&users.router).await;
    deleted.is(204);
    assert!(deleted.body.is_empty() && deleted.header("daybook-token").is_some());

    // That an account is gone is a state, too, and no condition hides it.
    let gone = Call::get(&path).header("if-none-match", "*").send(&users.router).await;
    assert_eq!(gone.is_problem(404, "user-deleted").header("daybook-as-of"), deleted.header("daybook-token"));
    for condition in ["\"1\"", "*"] {
        let late = Call::delete(&path).header("if-match", condition).send(&users.router).await;
        late.is_problem(404, "user-deleted");
    }
    Call::delete(&path).send(&users.router).await.is_problem(404, "user-deleted");
    Call::patch(&path, &json!({"name": "x"})).send(&users.router).await.is_problem(404, "user-deleted");
    Call::post("/users", &ada()).send(&users.router).await.is(201);

    users.relayed();
    let events = Log::read(&broker.kafka(""), "users.events").events();
    let of_ada: Vec<_> = events.iter().filter(|event| event["subject"] == user_id).collect();
    let types: Vec<_> = of_ada.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["shop.user.signed-up.v1", "shop.user.changed.v1", "shop.user.deleted.v1"]);
    assert_eq!(
        of_ada.iter().map(|event| event["aggregateversion"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_is_taken_until_its_user_goes() {
    let broker = broker();
    let users = TestService::<Users>::start(broker.kafka(""), router);
    let path = Call::post("/users", &ada()).send(&users.router).await.header("location").unwrap().to_owned();
    let again = Call::post("/users", &with("email", json!("ADA@example.org"))).send(&users.router).await;
    again.is_problem(409, "email-taken").names("email");
    let bob = Call::post("/users", &with("email", json!("bob@example.org"))).send(&users.router).await;
    let bob = bob.is(201).header("location").unwrap().to_owned();
    let change = json!({"email": "ada@example.org"});
    Call::patch(&bob, &change).send(&users.router).await.is_problem(409, "email-taken");
    Call::delete(&path).send(&users.router).await.is(204);
    Call::patch(&bob, &change).send(&users.router).await.is(200);
    let spelled = |email: &str| Call::post("/users", &with("email", json!(email)));
    spelled("\u{e9}ve@example.org").send(&users.router).await.is(201);
    for twin in ["e\u{301}ve@example.org", "E\u{301}VE@EXAMPLE.ORG", "éｖｅ＠example.org"] {
        spelled(twin).send(&users.router).await.is_problem(409, "email-taken");
    }
    // The address that Bob gave up is free as well.
    Call::post("/users", &with("email", json!("bob@example.org"))).send(&users.router).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_shown() {
    let broker = broker();
    let users = TestService::<Users>::start(broker.kafka(""), router);
    let typed = json!({"email": "E\u{301}ve@B\u{fc}cher.example", "name": "E\u{301}ve", "address": "1 Main Street\nSpringfield"});
    let signed_up = Call::post("/users", &typed).send(&users.router).await;
    let path = signed_up.is(201).header("location").unwrap().to_owned();
    let shown = Call::get(path).send(&users.router).await.json();
    for (member, typed) in typed.as_object().unwrap() {
        assert_eq!(&shown[member], typed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_refused_name_the_field() {
    let broker = broker();
    let users = TestService::<Users>::start(broker.kafka(""), router);
    let post = async |body: Value| Call::post("/users", &body).send(&users.router).await;
    post(with("email", json!("nobody"))).await.is_problem(422, "invalid-field").names("email");
    post(with("email", json!(7))).await.is_problem(422, "invalid-body").names("email");
    post(with("name", json!(null))).await.is_problem(422, "invalid-body").names("name");
    post(with("shoe_size", json!(43))).await.is_problem(422, "invalid-body").names("shoe_size");
    post(json!({"email": "a@b", "name": "A"})).await.is_problem(422, "invalid-body").names("address");
    post(json!(["a@b", "A", "x"])).await.is_problem(422, "invalid-body");
    let raw = async |body: &str| {
        let call = Call::new(Method::POST, "/users").header("content-type", "application/json");
        call.body(body.to_owned()).send(&users.router).await
    };
    raw("{\"email\": ").await.is_problem(400, "malformed-body");
    raw("").await.is_problem(400, "malformed-body");
    raw("{} {}").await.is_problem(400, "malformed-body");
    raw("{\"email\":\"a@b\",\"email\":\"a@c\",\"name\":\"A\",\"address\":\"x\"}")
        .await
        .is_problem(422, "invalid-body")
        .names("email");
    raw(&format!("{{\"email\":\"{}\"}}", "a".repeat(16 * 1024))).await.is_problem(413, "body-too-large");
    let xml = Call::new(Method::POST, "/users").header("content-type", "text/xml").body("<a/>");
    xml.send(&users.router).await.is_problem(415, "unsupported-media-type");
    Call::new(Method::POST, "/users")
        .body("{}")
        .send(&users.router)
        .await
        .is_problem(415, "unsupported-media-type");

    let path = post(ada()).await.header("location").unwrap().to_owned();
    let patch = async |body: Value| Call::patch(&path, &body).send(&users.router).await;
    patch(json!({})).await.is_problem(422, "nothing-to-change");
    patch(json!({"name": null})).await.is_problem(422, "invalid-body").names("name");
    patch(json!({"user_id": "x"})).await.is_problem(422, "invalid-body").names("user_id");
    patch(json!({"address": " "})).await.is_problem(422, "invalid-field").names("address");
    assert_eq!(Call::get(&path).send(&users.router).await.header("etag"), Some("\"1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_not_there_are_problems_too() {
    let broker = broker();
    let users = TestService::<Users>::start(broker.kafka(""), router);
    for id in ["x", "018f", "{018f8e3e-0000-7000-8000-000000000000}", "018F8E3E-0000-7000-8000-000000000000"]
    {
        let path = format!("/users/{}", id.replace('{', "%7B").replace('}', "%7D"));
        Call::get(&path).send(&users.router).await.is_problem(400, "malformed-id").names_parameter("user_id");
        Call::delete(&path)
            .send(&users.router)
            .await
            .is_problem(400, "malformed-id")
            .names_parameter("user_id");
        Call::patch(&path, &json!({"name": "A"})).send(&users.router).await.is_problem(400, "malformed-id");
    }
    let unknown = "/users/018f8e3e-0000-7000-8000-000000000000";
    Call::get(unknown).send(&users.router).await.is_problem(404, "user-unknown");
    Call::delete(unknown).send(&users.router).await.is_problem(404, "user-unknown");
    Call::patch(unknown, &json!({"name": "A"})).send(&users.router).await.is_problem(404, "user-unknown");
    Call::get("/nothing/here").send(&users.router).await.is_problem(404, "no-such-path");
    for (call, allowed) in
        [(Call::get("/users"), &["POST"][..]), (Call::new(Method::PUT, unknown), &["GET", "PATCH", "DELETE"])]
    {
        let refused = call.send(&users.router).await;
        let allow = refused.is_problem(405, "method-not-allowed").header("allow").unwrap();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{allow}");
    }
    for path in ["/health/live", "/health/ready", "/metrics"] {
        Call::new(Method::POST, path).send(&users.router).await.is_problem(405, "method-not-allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_the_headers_and_no_body() {
    let broker = broker();
    let users = TestService::<Users>::start(broker.kafka(""), router);
    let user = json!({"email": "ada@example.org", "name": "Ada", "address": "1 Row"});
    let made = Call::post("/users", &user).send(&users.router).await;
    let path = made.is(201).header("location").unwrap();
    let shown = Call::get(path).send(&users.router).await;
    let head = Call::new(Method::HEAD, path).send(&users.router).await;
    assert_eq!((head.is(200).body.len(), &head.headers), (0, &shown.is(200).headers));
}
