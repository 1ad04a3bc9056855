//! Clients that load service C: they have users and products made, and order and cancel, half of it with idempotency keys.

use std::sync::Arc;

use quickstart::client::{Client, Method};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::feed::{Feed, Pair};
use super::story::{Draft, Story, Went};

/// Orders of one client: their quantities tell all of them apart.
const ORDERS_MAX: usize = 100_000;

/// One client, which sends one command after the other.
pub(crate) struct Buyer {
    number: usize,
    random: StdRng,
    client: Client,
    feed: Arc<Feed>,
    /// Users and products that are there.
    pub(crate) there: Vec<Pair>,
    /// Users that are gone, and products that are there.
    pub(crate) gone: Vec<Pair>,
    pub(crate) stories: Vec<Story>,
    sent: usize,
}

impl Buyer {
    pub(crate) fn new(number: usize, seed: u64, feed: &Arc<Feed>) -> Self {
        let random = StdRng::seed_from_u64(seed << 32 | number as u64);
        let (client, feed) = (Client::new(), Arc::clone(feed));
        let (there, gone, stories) = (Vec::new(), Vec::new(), Vec::new());
        Self { number, random, client, feed, there, gone, stories, sent: 0 }
    }

    /// Has users and products made, whether or not service C is there.
    pub(crate) async fn meet(&mut self, pairs: usize) {
        for _ in 0..pairs {
            let mut pair =
                self.feed.pair(&format!("{}-{}", self.number, self.there.len() + self.gone.len())).await;
            if self.random.random_bool(0.2) {
                pair.user.token = self.feed.delete(&pair).await;
                self.gone.push(pair);
            } else {
                self.there.push(pair);
            }
        }
    }

    /// Sends so many commands, or fewer if the service goes away.
    pub(crate) async fn live(&mut self, url: &str, commands: usize) {
        for story in &mut self.stories {
            if story.retry(&self.client, url).await == Went::Gone {
                return;
            }
        }
        for _ in 0..commands {
            if self.command(url).await == Went::Gone {
                return;
            }
        }
    }

    async fn command(&mut self, url: &str) -> Went {
        self.sent += 1;
        let choice = self.random.random_range(0..10);
        if choice < 1 || self.there.is_empty() {
            self.meet(1).await;
        }
        let to_cancel = self.stories.iter().rposition(|story| story.is_known() && story.version() == 1);
        let (at, draft) = match (to_cancel, choice) {
            (Some(at), 8..) => (
                at,
                Draft::new(Method::DELETE, self.stories[at].path.as_ref().expect("a path"), Value::Null, 204),
            ),
            _ => (self.stories.len(), self.order()),
        };
        if at == self.stories.len() {
            self.stories.push(Story::default());
        }
        let key = self.random.random_bool(0.5).then(|| format!("key-{}-{}", self.number, self.sent));
        self.stories[at].go_on(Draft { key, ..draft }, &self.client, url).await
    }

    fn order(&mut self) -> Draft {
        let quantity = self.number * ORDERS_MAX + self.sent;
        let (there, gone) = (&self.there, &self.gone);
        let is_there = there.is_empty() || gone.is_empty() || self.random.random_bool(0.9);
        let pairs = if is_there && !there.is_empty() { there } else { gone };
        let at = self.random.random_range(0..pairs.len());
        order(&pairs[at], quantity, if is_there { 201 } else { 409 })
    }
}

/// An order for a pair; who sends it knows that they are there or gone.
pub(crate) fn order(pair: &Pair, quantity: usize, expects: u16) -> Draft {
    let body = json!({ "user_id": pair.user.id, "product_id": pair.product.id, "quantity": quantity });
    let after = format!("{},{}", pair.user.token, pair.product.token);
    Draft { after, ..Draft::new(Method::POST, "/orders", body, expects) }
}
