//! The plan, played through the services' HTTP interface, many lanes at a time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use daybook_event::headers;
use daybook_event::token::{Token, TokenPosition};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use quickstart::client::{Answer, Client, ClientError, Method};
use quickstart::shop::Urls;
use serde_json::{Value, json};

use crate::plan::{Customer, Deed, Plan, Product};

/// Lanes in flight: enough for the services to share one sync among many commands.
pub(crate) const LANES_MAX: usize = 64;
/// Attempts for one command while a service is busy or the same key is still in flight.
const ATTEMPTS_MAX: u32 = 50;
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// An aggregate that a service answered with.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// Its id.
    pub(crate) id: String,
    /// Positions up to its newest event.
    pub(crate) token: String,
}

/// What was made, by the file's own names.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// By customer number.
    pub(crate) users: HashMap<String, Made>,
    /// By stock code.
    pub(crate) products: HashMap<String, Made>,
    /// Newest order token by customer number.
    pub(crate) order_tokens: HashMap<String, String>,
}

impl Played {
    /// One token that names the newest position of every partition that was written.
    #[must_use]
    pub(crate) fn newest(&self) -> String {
        let made = self.users.values().chain(self.products.values()).map(|made| &made.token);
        newest(made.chain(self.order_tokens.values()))
    }
}

fn newest<'a>(tokens: impl Iterator<Item = &'a String>) -> String {
    let mut newest: BTreeMap<(String, i32), TokenPosition> = BTreeMap::new();
    for at in tokens.filter_map(|token| token.parse::<Token>().ok()).flat_map(|token| token.positions) {
        let known = newest.entry((at.topic.clone(), at.partition)).or_insert_with(|| at.clone());
        known.position = known.position.max(at.position);
    }
    Token { positions: newest.into_values().collect() }.to_string()
}

/// Sends commands.
#[derive(Debug, Clone)]
pub(crate) struct Player {
    client: Client,
    urls: Urls,
    progress: ProgressBar,
}

impl Player {
    /// A player that ticks `progress` once a command.
    pub(crate) fn new(client: Client, urls: Urls, progress: ProgressBar) -> Self {
        Self { client, urls, progress }
    }

    /// Plays the whole plan: customers and products first, so that every order has both.
    ///
    /// # Errors
    /// The first command that a service did not take.
    pub(crate) async fn play(&self, plan: &Plan) -> Result<Played, ClientError> {
        let mut played = Played {
            users: self.lanes(&plan.customers, |customer| self.sign_up(customer)).await?,
            products: self.lanes(&plan.products, |product| self.product(product)).await?,
            order_tokens: HashMap::new(),
        };
        played.order_tokens = self.lanes(&plan.customers, |customer| self.deeds(customer, &played)).await?;
        Ok(played)
    }

    async fn lanes<'a, T, F, R>(
        &self,
        items: &'a [T],
        lane: impl Fn(&'a T) -> F,
    ) -> Result<HashMap<String, R>, ClientError>
    where
        F: Future<Output = Result<(String, R), ClientError>>,
    {
        stream::iter(items).map(lane).buffer_unordered(LANES_MAX).try_collect().await
    }

    async fn sign_up(&self, customer: &Customer) -> Result<(String, Made), ClientError> {
        let id = &customer.id;
        let body = json!({
            "email": format!("{id}@customers.example"),
            "name": format!("Customer {id}"),
            "address": customer.country,
        });
        let key = format!("online-retail-{}-customer", customer.line);
        let answer = self.send(Method::POST, &format!("{}/users", self.urls.users), &key, "", &body).await?;
        Ok((id.clone(), made(&answer, "user_id")))
    }

    async fn product(&self, product: &Product) -> Result<(String, Made), ClientError> {
        let mut titles = product.titles.iter();
        let (line, title) = titles.next().cloned().unwrap_or_else(|| (0, product.stock_code.clone()));
        let image = format!("{}.jpg", product.stock_code);
        let body = json!({ "title": title, "image": image, "price_cents": product.price_cents });
        let url = format!("{}/products", self.urls.products);
        let key = |line: u64| format!("online-retail-{line}-product");
        let mut made = made(&self.send(Method::POST, &url, &key(line), "", &body).await?, "product_id");
        for (line, title) in titles {
            let url = format!("{url}/{}", made.id);
            let answer = self.send(Method::PATCH, &url, &key(*line), "", &json!({ "title": title })).await?;
            made.token = answer.token.unwrap_or(made.token);
        }
        Ok((product.stock_code.clone(), made))
    }

    async fn deeds(&self, customer: &Customer, played: &Played) -> Result<(String, String), ClientError> {
        let user = &played.users[&customer.id];
        let mut orders: HashMap<u64, String> = HashMap::new();
        let mut newest = String::new();
        for deed in &customer.deeds {
            let answer = match deed {
                Deed::Order { line, stock_code, quantity } => {
                    let answer = self.order(user, &played.products[stock_code], *line, *quantity).await?;
                    orders.insert(*line, made(&answer, "order_id").id);
                    answer
                }
                Deed::Cancel { line, order } => self.cancel(&orders[order], *line).await?,
            };
            newest = answer.token.unwrap_or(newest);
        }
        Ok((customer.id.clone(), newest))
    }

    async fn order(
        &self,
        user: &Made,
        product: &Made,
        line: u64,
        quantity: u32,
    ) -> Result<Answer, ClientError> {
        let body = json!({ "user_id": user.id, "product_id": product.id, "quantity": quantity });
        let after = format!("{},{}", user.token, product.token);
        let url = format!("{}/orders", self.urls.orders);
        self.send(Method::POST, &url, &format!("online-retail-{line}-order"), &after, &body).await
    }

    async fn cancel(&self, order_id: &str, line: u64) -> Result<Answer, ClientError> {
        let url = format!("{}/orders/{order_id}", self.urls.orders);
        self.send(Method::DELETE, &url, &format!("online-retail-{line}-cancel"), "", &Value::Null).await
    }

    /// One command, repeated with its key while the service says that it may be.
    async fn send(
        &self,
        method: Method,
        url: &str,
        key: &str,
        after: &str,
        body: &Value,
    ) -> Result<Answer, ClientError> {
        for _ in 1..ATTEMPTS_MAX {
            let request =
                self.client.request(method.clone(), url).header(headers::IDEMPOTENCY_KEY, key).after(after);
            let request = if body.is_null() { request } else { request.json(body) };
            let answer = request.send().await?;
            match answer.status {
                200..300 => {
                    self.progress.inc(1);
                    return Ok(answer);
                }
                503 => tokio::time::sleep(RETRY_PAUSE).await,
                status => return Err(ClientError::Status { url: url.to_owned(), status, body: answer.body }),
            }
        }
        self.client
            .request(method, url)
            .header(headers::IDEMPOTENCY_KEY, key)
            .after(after)
            .json(body)
            .send_ok()
            .await
    }
}

/// Number of commands that a plan leads to.
#[must_use]
pub(crate) fn commands(plan: &Plan) -> u64 {
    let titles: usize = plan.products.iter().map(|product| product.titles.len()).sum();
    let deeds: usize = plan.customers.iter().map(|customer| customer.deeds.len()).sum();
    (plan.customers.len() + titles + deeds) as u64
}

fn made(answer: &Answer, id: &str) -> Made {
    let id = answer.body[id].as_str().unwrap_or_default().to_owned();
    Made { id, token: answer.token.clone().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_token_keeps_the_highest_position_of_each_partition() {
        let tokens = ["a.events/0@5", "a.events/1@2", "a.events/0@7", "", "b.events/0@0"].map(str::to_owned);
        assert_eq!(newest(tokens.iter()), "a.events/0@7,a.events/1@2,b.events/0@0");
    }
}
