//! Asking D, over all its routes.

use daybook_event::headers;
use daybook_event::token::{Token, TokenPosition};
use quickstart::client::Answer;
use rand::RngExt;
use serde_json::Value;
use uuid::Uuid;

use super::Client;
use crate::history::{After, Effect, Question, Read, Seen, SeenOrder, SeenProduct, SeenPurchase};

/// As long as D grants.
const WAIT_MS: &str = "5000";
/// The longest page that D gives: all that a user has.
const LIMIT: usize = 500;
/// A page of products.
const PRODUCTS_LIMIT: usize = 100;
/// How often a client looks for what it has just done.
const LOOKS: f64 = 0.5;
/// How often a read names what all earlier answers rested on.
const RESUMED: f64 = 0.5;
/// How often a client that has come to the last page of products begins at the first one again; else it stays, for it is
/// the newest products that change.
const BEGINS_AGAIN: f64 = 0.1;

impl Client {
    /// Perhaps looks whether D shows what was done to `user`.
    pub(super) async fn maybe_read_user(&mut self, user: Uuid, token: &Token, effect: Effect) {
        if self.random.random_bool(LOOKS) {
            let question = self.about_user(user);
            self.read(question, Some(After { token: token.clone(), effect })).await;
        }
    }

    /// Perhaps looks whether D shows what was done to `product`, wherever it may show it.
    pub(super) async fn maybe_read_product(&mut self, product: Uuid, token: &Token, effect: Effect) {
        if self.random.random_bool(LOOKS) {
            let user = self.field.known().user(&mut self.random);
            let question = match (self.random.random_range(0..3), user) {
                (0, Some(user)) => self.about_user(user.id),
                (1, _) => Question::Products,
                _ => Question::Product(product),
            };
            self.read(question, Some(After { token: token.clone(), effect })).await;
        }
    }

    /// Asks once over one of the routes.
    pub(super) async fn read_any(&mut self, user: Uuid, product: Uuid) {
        let question = match self.random.random_range(0..4) {
            0 => Question::Product(product),
            1 => Question::Products,
            _ => self.about_user(user),
        };
        self.read(question, None).await;
    }

    fn about_user(&mut self, user: Uuid) -> Question {
        if self.random.random_bool(0.5) { Question::Orders(user) } else { Question::Purchases(user) }
    }

    /// Asks once. What D cannot answer now is counted.
    async fn read(&mut self, question: Question, after: Option<After>) {
        let url = format!("{}{}", self.field.urls.query, self.path(question));
        let mut request = self.field.http.get(&url).header(headers::WAIT_MS, WAIT_MS);
        // Reads shall never go back, whether or not each asks for what the earlier ones rested on.
        let mut positions = after.as_ref().map(|after| after.token.positions.clone()).unwrap_or_default();
        if self.random.random_bool(RESUMED) {
            positions.extend(self.seen());
        }
        request = request.after(&Token { positions }.to_string());
        let began_us = self.field.now_us();
        let answer = request.send().await;
        let ended_us = self.field.now_us();
        let seen = answer.ok().and_then(|answer| Some((seen(question, &answer)?, answer)));
        let Some((seen, answer)) = seen else {
            self.field.history().reads_unanswered += 1;
            return;
        };
        if question == Question::Products {
            self.turn_page(&answer.body);
        }
        let as_of = as_of(&answer);
        self.note(&as_of);
        let client = self.number;
        let read = Read { client, began_us, ended_us, question, after, seen, as_of };
        self.field.history().reads.push(read);
    }

    fn path(&self, question: Question) -> String {
        match question {
            Question::Orders(user) => format!("/users/{user}/orders?limit={LIMIT}"),
            Question::Purchases(user) => format!("/users/{user}/products?limit={LIMIT}"),
            Question::Product(product) => format!("/products/{product}"),
            Question::Products => {
                let cursor = self.cursor.as_ref().map(|cursor| format!("&cursor={cursor}"));
                format!("/products?limit={PRODUCTS_LIMIT}{}", cursor.unwrap_or_default())
            }
        }
    }

    fn turn_page(&mut self, body: &Value) {
        if let Some(next) = body["next"].as_str() {
            self.cursor = Some(next.to_owned());
        } else if self.random.random_bool(BEGINS_AGAIN) {
            self.cursor = None;
        }
    }

    fn seen(&self) -> impl Iterator<Item = TokenPosition> {
        self.seen.iter().map(|((topic, partition), position)| TokenPosition {
            topic: topic.clone(),
            partition: *partition,
            position: *position,
        })
    }

    fn note(&mut self, as_of: &Token) {
        for at in &as_of.positions {
            let highest = self.seen.entry((at.topic.clone(), at.partition)).or_default();
            *highest = at.position.max(*highest);
        }
    }
}

/// What an answer shows; `None` if D could not answer.
fn seen(question: Question, answer: &Answer) -> Option<Seen> {
    let body = &answer.body;
    match (answer.status, question) {
        (200, Question::Orders(_)) => Some(Seen::Orders(orders(body))),
        (200, Question::Purchases(_)) => {
            Some(Seen::Purchases(each(body, "products").map(purchase).collect()))
        }
        (200, Question::Product(id)) => Some(Seen::Products(vec![(id, product(body))])),
        (200, Question::Products) => {
            let listed = |item: &Value| (id(item, "product_id"), product(item));
            Some(Seen::Products(each(body, "products").map(listed).collect()))
        }
        (404, _) => Some(Seen::Nothing),
        _ => None,
    }
}

/// The orders of a page.
pub(crate) fn orders(body: &Value) -> Vec<SeenOrder> {
    let order = |order: &Value| SeenOrder {
        id: id(order, "order_id"),
        product: id(order, "product_id"),
        title: title(order),
        quantity: count(order, "quantity").try_into().unwrap_or_default(),
        cancelled: order["status"] == "cancelled",
    };
    each(body, "orders").map(order).collect()
}

/// One product, wherever it is shown whole.
pub(crate) fn product(item: &Value) -> SeenProduct {
    SeenProduct { title: title(item), discontinued: item["discontinued"] == true }
}

fn purchase(item: &Value) -> SeenPurchase {
    SeenPurchase {
        product: (id(item, "product_id"), product(item)),
        orders: count(item, "orders"),
        quantity: count(item, "quantity"),
    }
}

fn each<'b>(body: &'b Value, name: &str) -> impl Iterator<Item = &'b Value> {
    body[name].as_array().into_iter().flatten()
}

fn id(item: &Value, name: &str) -> Uuid {
    item[name].as_str().and_then(|id| id.parse().ok()).unwrap_or_default()
}

fn title(item: &Value) -> Option<String> {
    item["title"].as_str().map(str::to_owned)
}

fn count(item: &Value, name: &str) -> u64 {
    item[name].as_u64().unwrap_or_default()
}

fn as_of(answer: &Answer) -> Token {
    answer.as_of.as_deref().and_then(|as_of| as_of.parse().ok()).unwrap_or_default()
}
