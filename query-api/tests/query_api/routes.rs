//! One client asks all routes in turn while what they show changes: whatever one of them has shown, no later answer of any
//! other one is from before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use daybook_event::token::{Token, TokenPosition};
use schemas::products::ProductDetails;
use schemas::{ProductEvent, ShopEvent};
use serde_json::Value;

use crate::events::{created, id, placed, signed_up};
use crate::http::{get_after, get_with};
use crate::setting::Setting;

const USER: u128 = 1;
const PRODUCT: u128 = 10;
/// The embedded broker forgets the oldest records of a partition beyond some ten thousand.
const VERSIONS: u64 = 1_500;
const CLIENTS: usize = 4;

fn renamed(version: u64) -> ShopEvent {
    let (title, image) = (version.to_string(), "image.jpg".to_owned());
    let product_id = id(PRODUCT);
    ShopEvent::Product(ProductEvent::Changed(ProductDetails { product_id, title, image, price_cents: None }))
}

/// Each route, and where the product's title stands in its answers.
fn routes() -> [(String, &'static str); 4] {
    [
        (format!("/products/{}", id(PRODUCT)), "/title"),
        (format!("/users/{}/products", id(USER)), "/products/0/title"),
        ("/products".to_owned(), "/products/0/title"),
        (format!("/users/{}/orders", id(USER)), "/orders/0/title"),
    ]
}

fn version(answer: &Value, at: &str) -> u64 {
    let title = answer.pointer(at).and_then(Value::as_str);
    title.and_then(|title| title.parse().ok()).unwrap_or_else(|| panic!("{at} in {answer}"))
}

/// Asks the routes in turn; `sends_back` says whether each request carries what the answer before was as of.
async fn ask_in_turn(router: Router, sends_back: bool, done: Arc<AtomicBool>) -> usize {
    let (mut seen, mut seen_as_of, mut answers) = (0, String::new(), 0);
    for (path, at) in routes().iter().cycle() {
        let after = [("daybook-after", seen_as_of.as_str()), ("daybook-wait-ms", "60000")];
        let headers = if sends_back && !seen_as_of.is_empty() { &after[..] } else { &[] };
        let answer = get_with(&router, path, headers).await;
        let as_of = answer.header("daybook-as-of").to_owned();
        assert_no_older(&seen_as_of, &as_of);
        let now = version(&answer.ok(), at);
        assert!(now >= seen, "{path} shows version {now} after {seen} was shown");
        (seen, seen_as_of, answers) = (now, as_of, answers + 1);
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
    answers
}

/// Of partitions that both name.
fn assert_no_older(before: &str, now: &str) {
    let positions = |text: &str| text.parse::<Token>().unwrap_or_default().positions;
    let now = positions(now);
    for at in positions(before) {
        let same = |now: &&TokenPosition| (&now.topic, now.partition) == (&at.topic, at.partition);
        assert!(
            now.iter().find(same).is_none_or(|now| now.position >= at.position),
            "{now:?} after {before}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_route_shows_less_than_another_one_has_shown_before() {
    let setting = Arc::new(Setting::new());
    let service = setting.serve().await;
    let token =
        setting.log.write_all(&[signed_up(USER), created(PRODUCT, "0", None), placed(100, USER, PRODUCT, 1)]);
    get_after(&service.router(), "/products", &token).await.ok();
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(ask_in_turn(service.router(), client % 2 == 1, done.clone())))
        .collect();
    let writing = setting.clone();
    let writer = tokio::task::spawn_blocking(move || {
        (1..=VERSIONS).fold(String::new(), |_, version| writing.log.write(&renamed(version)))
    });
    let token = writer.await.unwrap();
    get_after(&service.router(), "/products", &token).await.ok();
    done.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > routes().len());
    }
    service.stop().await.unwrap();
}
