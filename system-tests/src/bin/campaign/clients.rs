//! Clients: each does one thing after the other, chosen by its own random numbers.

mod commands;
mod known;
pub(crate) mod reads;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quickstart::client::Client as Http;
use quickstart::shop::Urls;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::evidence::Quiet;
use crate::history::{Asked, Effect, History};
use commands::Earlier;
use known::Known;

/// Longest pause between two things that a client does.
const PAUSE_MS_MAX: u64 = 30;
/// How often a client repeats what it did some time ago: so seldom that a fault or two lie between.
const REPEATS_EARLIER: f64 = 0.005;
/// How often a client orders what is not there.
const STRANGERS: f64 = 0.02;
/// E-mail addresses to choose from at first. For each user there are two more: some are taken, and some are free.
const EMAILS: usize = 50;

/// What all clients share.
pub(crate) struct Field {
    urls: Urls,
    http: Http,
    began: Instant,
    stop: AtomicBool,
    /// How long a client goes on asking what became of a command.
    patience: Duration,
    history: Mutex<History>,
    known: Mutex<Known>,
}

impl Field {
    pub(crate) fn new(urls: Urls, http: Http, patience: Duration) -> Self {
        let (history, known) = (Mutex::default(), Mutex::default());
        Self { urls, http, began: Instant::now(), stop: AtomicBool::new(false), patience, history, known }
    }

    /// Lets clients end once they know what became of their last command.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What was asked and answered so far.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spans of time in the units of the history.
    pub(crate) fn spans(&self, spans: &[(Instant, Instant)]) -> Vec<Quiet> {
        let us = |at: Instant| micros(at.saturating_duration_since(self.began));
        spans.iter().map(|(from, to)| Quiet { from_us: us(*from), to_us: us(*to) }).collect()
    }

    fn now_us(&self) -> u64 {
        micros(self.began.elapsed())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Lets clients work until [`Field::stop`].
pub(crate) fn start(count: u16, seed: u64, field: &Arc<Field>, handle: &Handle) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..usize::from(count) {
        clients.spawn_on(Client::new(number, seed, Arc::clone(field)).work(), handle);
    }
    clients
}

/// One client.
struct Client {
    number: usize,
    random: StdRng,
    field: Arc<Field>,
    /// The highest position of each partition that any of its answers rested on.
    seen: BTreeMap<(String, i32), u64>,
    /// Where its next page of products begins.
    cursor: Option<String>,
    /// A command to be sent again.
    earlier: Option<Earlier>,
}

impl Client {
    fn new(number: usize, seed: u64, field: Arc<Field>) -> Self {
        // Seeds of clients lie apart from each other and from that of the faults.
        let random = StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64));
        Self { number, random, field, seen: BTreeMap::new(), cursor: None, earlier: None }
    }

    /// Works until it is told to stop.
    async fn work(mut self) {
        while !self.field.stop.load(Ordering::Relaxed) {
            self.step().await;
            if self.random.random_bool(REPEATS_EARLIER) {
                self.repeat_earlier().await;
            }
            let pause = self.random.random_range(0..=PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn step(&mut self) {
        let user = self.field.known().user(&mut self.random);
        let product = self.field.known().product(&mut self.random);
        match (self.random.random_range(0..100), user, product) {
            (0..8, ..) | (_, None, _) => self.sign_up().await,
            (8..14, ..) | (_, _, None) => self.create().await,
            (14..22, Some(user), _) => self.change_user(user.id).await,
            (22..24, Some(user), _) => self.delete_user(user.id).await,
            (24..30, _, Some(product)) => self.change_product(product.id).await,
            (30..31, _, Some(product)) => self.discontinue(product.id).await,
            (31..62, Some(user), Some(product)) => self.order(user, product).await,
            (62..70, ..) => self.cancel().await,
            (_, Some(user), Some(product)) => self.read_any(user.id, product.id).await,
        }
    }

    fn email(&mut self) -> String {
        let emails = EMAILS + 2 * self.field.known().users_made();
        let number = self.random.random_range(0..emails);
        // However it is spelled, it is one address.
        match self.random.random_range(0..3) {
            0 => format!("RENÉ-{number}@Example.com"),
            1 => format!("rene\u{301}-{number}@example.com"),
            _ => format!("rené-{number}@example.com"),
        }
    }

    async fn sign_up(&mut self) {
        let email = self.email();
        let body = serde_json::json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
        let Some(done) = self.create_at("/users", Asked::SignUp { email }, &body).await else { return };
        self.field.known().add_user(done.id, &done.token);
        self.maybe_read_user(done.id, &done.token, Effect::SignedUp).await;
    }

    async fn create(&mut self) {
        let title = format!("pants {}", self.random.random::<u32>());
        let body = serde_json::json!({ "title": title, "image": "pants.jpg" });
        let Some(done) = self.create_at("/products", Asked::Create, &body).await else { return };
        self.field.known().add_product(done.id, &done.token);
        self.maybe_read_product(done.id, &done.token, Effect::Titled(done.id, title)).await;
    }

    async fn change_user(&mut self, user: Uuid) {
        // A name that nobody had before, so that each change is one.
        let mut body = serde_json::json!({ "name": format!("Jill {}", Uuid::now_v7()) });
        if self.random.random_bool(0.5) {
            body["email"] = self.email().into();
        }
        self.change_at(&format!("/users/{user}"), Asked::ChangeUser, user, Some(&body)).await;
    }

    async fn delete_user(&mut self, user: Uuid) {
        let done = self.change_at(&format!("/users/{user}"), Asked::DeleteUser, user, None).await;
        if let Some(done) = done {
            self.maybe_read_user(user, &done.token, Effect::Deleted).await;
        }
    }

    async fn change_product(&mut self, product: Uuid) {
        // A title that nothing had before, so that each tells which change an answer has seen.
        let title = format!("pants {}", Uuid::now_v7());
        let body = serde_json::json!({ "title": title });
        let path = format!("/products/{product}");
        let done = self.change_at(&path, Asked::ChangeProduct, product, Some(&body)).await;
        if let Some(done) = done {
            self.maybe_read_product(product, &done.token, Effect::Titled(product, title)).await;
        }
    }

    async fn discontinue(&mut self, product: Uuid) {
        let done = self.change_at(&format!("/products/{product}"), Asked::Discontinue, product, None).await;
        if let Some(done) = done {
            self.maybe_read_product(product, &done.token, Effect::Discontinued(product)).await;
        }
    }

    async fn order(&mut self, user: known::Thing, product: known::Thing) {
        let stranger = self.random.random_bool(STRANGERS);
        let product = if stranger { self.stranger() } else { product };
        let Some(done) = self.order_at(&user, &product).await else { return };
        self.field.known().add_order(done.id, user.id);
        self.maybe_read_user(user.id, &done.token, Effect::Placed(done.id)).await;
    }

    /// What nobody has ever made.
    fn stranger(&mut self) -> known::Thing {
        known::Thing { id: Uuid::from_u128(self.random.random()), token: String::new() }
    }

    async fn cancel(&mut self) {
        let Some((order, user)) = self.field.known().order(&mut self.random) else { return };
        let done = self.change_at(&format!("/orders/{order}"), Asked::Cancel { user }, order, None).await;
        if let Some(done) = done {
            self.maybe_read_user(user, &done.token, Effect::Cancelled(order)).await;
        }
    }
}
