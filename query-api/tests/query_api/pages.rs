//! Pages, with writes in between.

use axum::Router;
use schemas::ShopEvent;
use serde_json::Value;

use crate::events::{cancelled, created, id, placed, signed_up};
use crate::http::{get, get_after};
use crate::setting::Setting;

const USER: u128 = 1;

/// All items of all pages; `between` is called after every page and gives a token to wait for.
async fn walk(
    router: &Router,
    path: &str,
    list: &str,
    limit: usize,
    mut between: impl FnMut(usize) -> String,
) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    for page in 0.. {
        let token = between(page);
        let asked = format!("{path}?limit={limit}{next}");
        let body = if token.is_empty() {
            get(router, &asked).await
        } else {
            get_after(router, &asked, &token).await
        }
        .ok();
        let found = body[list].as_array().unwrap();
        assert!(found.len() == limit || body["next"].is_null(), "only the last page may be short");
        items.extend(found.iter().cloned());
        match body["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    items
}

fn ids(items: &[Value], member: &str) -> Vec<String> {
    items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

fn expected(numbers: impl IntoIterator<Item = u128>) -> Vec<String> {
    numbers.into_iter().map(|number| id(number).to_string()).collect()
}

/// Order `n` is of product `n % products`.
fn orders(numbers: std::ops::Range<u128>, products: u128) -> Vec<ShopEvent> {
    numbers.map(|n| placed(1_000 + n, USER, 10 + n % products, 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_come_once_each_while_more_are_placed() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let mut first = vec![signed_up(USER)];
    first.extend(orders(0..20, 7));
    let token = setting.log.write_all(&first);
    let path = format!("/users/{}/orders", id(USER));
    let more = |page: usize| match u128::try_from(page).unwrap() {
        0 => token.clone(),
        page if page < 5 => setting.log.write(&placed(1_020 + page - 1, USER, 10, 1)),
        _ => String::new(),
    };
    let items = walk(&service.router(), &path, "orders", 3, more).await;
    assert_eq!(ids(&items, "order_id"), expected(1_000..1_024));
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn products_come_once_each_while_more_are_ordered_and_cancelled() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let mut first = vec![signed_up(USER)];
    first.extend(orders(0..20, 10));
    let token = setting.log.write_all(&first);
    let path = format!("/users/{}/products", id(USER));
    let more = |page: usize| match page {
        0 => token.clone(),
        // Bought once more: it stays where it is. New: it comes at the end. Cancelled: it counts less.
        1 => setting.log.write_all(&[
            placed(2_000, USER, 12, 1),
            placed(2_001, USER, 99, 1),
            cancelled(1_019, USER, 19),
        ]),
        _ => String::new(),
    };
    let items = walk(&service.router(), &path, "products", 3, more).await;
    assert_eq!(ids(&items, "product_id"), expected((10..20).chain([99])));
    assert_eq!(items[9]["orders"], 1);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_products_come_once_each_while_more_are_created() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let events: Vec<_> = (10..30).map(|product| created(product, "pants", None)).collect();
    let token = setting.log.write_all(&events);
    let more = |page: usize| match page {
        0 => token.clone(),
        // Before the cursor: not seen in this walk. After it: seen.
        2 => setting.log.write_all(&[created(5, "early", None), created(40, "late", None)]),
        _ => String::new(),
    };
    let items = walk(&service.router(), "/products", "products", 4, more).await;
    assert_eq!(ids(&items, "product_id"), expected((10..30).chain([40])));
    service.stop().await.unwrap();
}

/// More orders than are read at once, and than one part of a row holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_many_orders_is_answered_like_any_other() {
    let setting = Setting::new();
    let service = setting.serve().await;
    let mut events = vec![signed_up(USER)];
    events.extend(orders(0..1_000, 300));
    let token = setting.log.write_all(&events);
    let path = |what: &str| format!("/users/{}/{what}", id(USER));
    let products = walk(&service.router(), &path("products"), "products", 100, |_| token.clone()).await;
    assert_eq!(ids(&products, "product_id"), expected(10..310));
    let counts: Vec<_> = products.iter().map(|product| product["orders"].as_u64().unwrap()).collect();
    assert_eq!(counts, [vec![4; 100], vec![3; 200]].concat());
    for limit in [500, 37] {
        let orders = walk(&service.router(), &path("orders"), "orders", limit, |_| String::new()).await;
        assert_eq!(ids(&orders, "order_id"), expected(1_000..2_000));
    }
    service.stop().await.unwrap();
}
