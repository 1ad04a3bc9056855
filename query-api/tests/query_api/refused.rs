//! Every request that is refused, with what it names.
//! With the shop: each of its routes refuses by the kernel's rules.

use axum::body::Body;
use axum::http::{Method, Request};
use tower::ServiceExt as _;

use crate::events::{id, signed_up};
use crate::http::{get, get_with, send};
use crate::setting::Setting;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_named() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let user = format!("/users/{}", id(1));
    for (path, parameter) in [
        ("/users/7/products".to_owned(), "user_id"),
        ("/users/%ff/products".to_owned(), "user_id"),
        ("/users/7/orders".to_owned(), "user_id"),
        ("/products/pants".to_owned(), "product_id"),
        (format!("{user}/products?limit=0"), "limit"),
        (format!("{user}/products?limit=501"), "limit"),
        (format!("{user}/orders?limit=ten"), "limit"),
        (format!("{user}/orders?limit=1&limit=2"), "limit"),
        (format!("{user}/products?cursor=abc"), "cursor"),
        (format!("{user}/orders?cursor="), "cursor"),
        ("/products?cursor=00".to_owned(), "cursor"),
        (format!("{user}/products?page=2"), "page"),
        ("/products?Limit=5".to_owned(), "Limit"),
        (format!("/products/{}?limit=5", id(1)), "limit"),
        ("/status?verbose=1".to_owned(), "verbose"),
    ] {
        let problem = get(&service.router(), &path).await.problem(400);
        assert_eq!(problem["parameter"], parameter, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(parameter), "{problem}");
    }
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_header_is_named() {
    let setting = Setting::new();
    let service = setting.serve().await;
    for (name, value) in [
        ("daybook-after", "orders.events@3"),
        ("daybook-after", "orders.events/0@x"),
        ("daybook-after", "orders.events/2@0"),
        ("daybook-after", "baskets.events/0@0"),
        ("daybook-wait-ms", "soon"),
        ("daybook-wait-ms", "-1"),
    ] {
        for path in
            ["/products".to_owned(), format!("/users/{}/orders", id(1)), format!("/products/{}", id(1))]
        {
            let problem = get_with(&service.router(), &path, &[(name, value)]).await.problem(400);
            assert_eq!(problem["header"], name, "{path} {value}: {problem}");
        }
    }
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_rows_and_paths_and_wrong_methods_are_problems() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    for path in [
        format!("/users/{}/products", id(1)),
        format!("/users/{}/orders", id(1)),
        format!("/products/{}", id(1)),
    ] {
        let problem = get(&router, &path).await.problem(404);
        assert_eq!(problem["type"], "/problems/not-found");
        assert!(problem["detail"].as_str().unwrap().contains(&id(1).to_string()), "{problem}");
    }
    for path in ["/", "/users", "/users/7", "/products/7/orders", "/health", "/health/dead"] {
        assert_eq!(get(&router, path).await.problem(404)["type"], "/problems/no-such-path", "{path}");
    }
    for path in ["/products", "/status", "/metrics", "/health/live", &format!("/users/{}/orders", id(1))] {
        for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
            let answer = send(&router, method, path, &[]).await;
            assert_eq!(answer.problem(405)["type"], "/problems/method-not-allowed", "{path}");
            assert!(answer.header("allow").contains("GET"), "{path}");
        }
    }
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_user_is_refused() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let router = service.router();
    let orders = (0..3).map(|n| crate::events::placed(100 + n, 1, 10 + n, 1));
    let events: Vec<_> = [signed_up(1), signed_up(2)].into_iter().chain(orders).collect();
    let token = setting.log.write_all(&events);
    let path =
        |user: u128, what: &str, cursor: &str| format!("/users/{}/{what}?limit=1&cursor={cursor}", id(user));
    for what in ["products", "orders"] {
        let first = format!("/users/{}/{what}?limit=1", id(1));
        let first = crate::http::get_after(&router, &first, &token).await.ok();
        let cursor = first["next"].as_str().unwrap();
        get(&router, &path(1, what, cursor)).await.ok();
        let other = if what == "products" { "orders" } else { "products" };
        for wrong in
            [path(2, what, cursor), path(1, other, cursor), path(1, what, &cursor.replacen('0', "1", 1))]
        {
            assert_eq!(get(&router, &wrong).await.problem(400)["parameter"], "cursor", "{wrong}");
        }
    }
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_with_a_body_is_refused() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let request = Request::get("/products").body(Body::from("x".repeat(1 << 20))).unwrap();
    let response = service.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 400);
    get(&service.router(), "/products").await.ok();
    service.stop().await.unwrap();
}
