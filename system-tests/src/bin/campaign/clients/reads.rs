//! Asking D for a user's orders.

use quickstart::client::Answer;
use rand::RngExt;
use schemas::headers;
use schemas::token::Token;
use serde_json::Value;
use uuid::Uuid;

use super::Client;
use crate::history::{After, Effect, Read, Seen, SeenOrder};

/// As long as D grants.
const WAIT_MS: &str = "5000";
/// The longest page that D gives.
const LIMIT: usize = 500;
/// How often a client looks for what it has just done.
const LOOKS: f64 = 0.5;
/// How often a read names what the last one of the same user rested on.
const RESUMED: f64 = 0.5;

impl Client {
    /// Perhaps looks whether D shows what was done to `user`.
    pub(super) async fn maybe_read(&mut self, user: Uuid, token: &Token, effect: Effect) {
        if self.random.random_bool(LOOKS) {
            self.read(user, Some(After { token: token.clone(), effect })).await;
        }
    }

    /// Asks once. What D cannot answer now is counted.
    pub(super) async fn read(&mut self, user: Uuid, after: Option<After>) {
        let url = format!("{}/users/{user}/orders?limit={LIMIT}", self.field.urls.query);
        let mut request = self.field.http.get(&url).header(headers::WAIT_MS, WAIT_MS);
        // Reads shall never go back, whether or not each asks for what the last one rested on.
        let resumed = self.seen.get(&user).filter(|_| self.random.random_bool(RESUMED));
        let asked = after.as_ref().map(|after| &after.token).into_iter().chain(resumed);
        let positions = asked.flat_map(|token| token.positions.iter().cloned()).collect();
        request = request.after(&Token { positions }.to_string());
        let began_us = self.field.now_us();
        let answer = request.send().await;
        let ended_us = self.field.now_us();
        let seen = answer.ok().and_then(|answer| Some((seen(&answer)?, as_of(&answer))));
        let Some((seen, as_of)) = seen else {
            self.field.history().reads_unanswered += 1;
            return;
        };
        self.seen.insert(user, as_of.clone());
        self.field.history().reads.push(Read {
            client: self.number,
            began_us,
            ended_us,
            user,
            after,
            seen,
            as_of,
        });
    }
}

/// What an answer shows; `None` if D could not answer.
pub(crate) fn seen(answer: &Answer) -> Option<Seen> {
    match answer.status {
        200 => Some(Seen::Orders(orders(&answer.body))),
        404 => Some(Seen::NoUser),
        _ => None,
    }
}

/// The orders of a page.
pub(crate) fn orders(body: &Value) -> Vec<SeenOrder> {
    let id =
        |order: &Value, name: &str| order[name].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
    let order = |order: &Value| SeenOrder {
        id: id(order, "order_id"),
        product: id(order, "product_id"),
        quantity: order["quantity"]
            .as_u64()
            .and_then(|quantity| quantity.try_into().ok())
            .unwrap_or_default(),
        cancelled: order["status"] == "cancelled",
    };
    body["orders"].as_array().into_iter().flatten().map(order).collect()
}

fn as_of(answer: &Answer) -> Token {
    answer.as_of.as_deref().and_then(|as_of| as_of.parse().ok()).unwrap_or_default()
}
