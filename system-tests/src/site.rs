//! The four services as processes with directories of their own, and a client for them.

use std::path::{Path, PathBuf};

use daybook_event::headers;
use quickstart::client::{Answer, Client, ClientError};
use quickstart::shop::Urls;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::broker::TestBroker;
use crate::process::{self, Finished, Process};
use crate::wait;

/// D's binary.
pub const QUERY_API: &str = "query-api";
/// D's directory.
pub const READ_MODEL: &str = "read-model";
/// How long an answer may wait for a token: as long as D grants, since the machine may have much else to do.
const WAIT_MS: &str = "5000";
/// Pause before a command that got 503 is sent again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Services, log and directories of one test.
pub struct Site {
    /// The log.
    pub broker: TestBroker,
    /// Holds one directory per service.
    pub directory: TempDir,
    /// A, B, C and D, as far as they run.
    pub users: Option<Process>,
    /// Service B.
    pub products: Option<Process>,
    /// Service C.
    pub orders: Option<Process>,
    /// Service D.
    pub query: Option<Process>,
    /// Where they listen.
    pub urls: Urls,
    /// Sends requests.
    pub client: Client,
}

impl Site {
    /// Starts all four and waits until each is ready.
    pub async fn start(broker: TestBroker) -> Self {
        Self::start_with(broker, QUERY_API).await
    }

    /// The same with another binary for D.
    pub async fn start_with(broker: TestBroker, query_api: &str) -> Self {
        let directory = TempDir::with_prefix("daybook-system-").expect("a temporary directory");
        let urls = Urls {
            users: String::new(),
            products: String::new(),
            orders: String::new(),
            query: String::new(),
        };
        let client = Client::new();
        let mut site =
            Self { broker, directory, users: None, products: None, orders: None, query: None, urls, client };
        (site.users, site.urls.users) = site.service("users", "users").await;
        (site.products, site.urls.products) = site.service("products", "products").await;
        (site.orders, site.urls.orders) = site.service("orders", "orders").await;
        (site.query, site.urls.query) = site.service(query_api, READ_MODEL).await;
        site
    }

    /// Starts D, again or for the first time.
    pub async fn start_query(&mut self) {
        (self.query, self.urls.query) = self.service(QUERY_API, READ_MODEL).await;
    }

    /// Starts any service and waits until it is ready.
    pub async fn service(&self, name: &str, data: &str) -> (Option<Process>, String) {
        self.service_with(name, data, &[]).await
    }

    /// The same with more flags.
    pub async fn service_with(&self, name: &str, data: &str, more: &[&str]) -> (Option<Process>, String) {
        let (process, url) = self.service_unready_with(name, data, more);
        self.ready(name, &url).await;
        (process, url)
    }

    /// Starts any service and waits only until it listens.
    pub fn service_unready(&self, name: &str, data: &str) -> (Option<Process>, String) {
        self.service_unready_with(name, data, &[])
    }

    /// The same with more flags.
    pub fn service_unready_with(&self, name: &str, data: &str, more: &[&str]) -> (Option<Process>, String) {
        let mut flags = self.flags(data);
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        let mut process = Process::start(name, &flags);
        let url = format!("http://{}", process.address());
        (Some(process), url)
    }

    /// Flags of a service that keeps its data in `data`.
    pub fn flags(&self, data: &str) -> Vec<String> {
        let mut flags = self.broker.flags();
        flags.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
        flags.extend(["--data-dir".to_owned(), self.data(data).display().to_string()]);
        flags
    }

    /// Flags with which `projector` does `task` to D's read model.
    pub fn projector_flags(&self, task: &[&str]) -> Vec<String> {
        let mut flags: Vec<_> = task.iter().map(|flag| (*flag).to_owned()).collect();
        flags.extend(self.broker.flags());
        flags.extend(["--data-dir".to_owned(), self.data(READ_MODEL).display().to_string()]);
        flags
    }

    /// Lets `projector` do `task` to D's read model, on a thread of its own.
    pub fn projector(&self, task: &[&str]) -> JoinHandle<Finished> {
        let flags = self.projector_flags(task);
        tokio::task::spawn_blocking(move || process::run("projector", &flags))
    }

    /// Directory of a service.
    pub fn data(&self, service: &str) -> PathBuf {
        self.directory.path().join(service)
    }

    async fn ready(&self, name: &str, url: &str) {
        let deadline = tokio::time::Instant::now() + wait::DEADLINE;
        let url = format!("{url}/health/ready");
        while !self.client.get(&url).send().await.is_ok_and(|answer| answer.status == 200) {
            assert!(tokio::time::Instant::now() < deadline, "{name} did not become ready");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Signs a user up.
    pub async fn sign_up(&self, email: &str) -> Made {
        let body = json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
        self.make(&format!("{}/users", self.urls.users), &body, "user_id", "").await
    }

    /// Creates a product.
    pub async fn product(&self, title: &str) -> Made {
        let body = json!({ "title": title, "image": format!("{title}.jpg"), "price_cents": 4900 });
        self.make(&format!("{}/products", self.urls.products), &body, "product_id", "").await
    }

    /// Orders a product.
    pub async fn order(&self, user: &Made, product: &Made) -> Made {
        let body = json!({ "user_id": user.id, "product_id": product.id });
        let after = format!("{},{}", user.token, product.token);
        self.make(&format!("{}/orders", self.urls.orders), &body, "order_id", &after).await
    }

    /// Sends a command as a client should: what gets 503 is sent again with its key, until it is accepted.
    async fn make(&self, url: &str, body: &Value, id: &str, after: &str) -> Made {
        let key = Uuid::now_v7().to_string();
        let deadline = tokio::time::Instant::now() + wait::DEADLINE;
        let answer = loop {
            let asked = self.client.post(url, body).after(after).header(headers::IDEMPOTENCY_KEY, &key);
            match asked.send_ok().await {
                Err(ClientError::Status { status: 503, body, .. }) => {
                    assert!(tokio::time::Instant::now() < deadline, "{url} goes on refusing: {body}");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                answered => break answered.expect("the command is accepted"),
            }
        };
        Made {
            id: answer.body[id].as_str().expect("an id").to_owned(),
            token: answer.token.expect("a command answers with a token"),
        }
    }

    /// D's answer about a user, once it has seen `after`.
    pub async fn ordered_products(&self, user: &Made, after: &str) -> Answer {
        let url = self.ordered_products_url(user);
        let asked = self.client.get(&url).after(after).header(headers::WAIT_MS, WAIT_MS);
        asked.send_ok().await.expect("D answers")
    }

    /// Where D answers with what a user has ordered.
    pub fn ordered_products_url(&self, user: &Made) -> String {
        format!("{}/users/{}/products", self.urls.query, user.id)
    }

    /// D's `/status`.
    pub async fn status(&self) -> Value {
        self.client.get(&format!("{}/status", self.urls.query)).send_ok().await.expect("D has a status").body
    }

    /// D's `/status`, once it is as `condition` wants it.
    pub async fn status_when(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + wait::DEADLINE;
        loop {
            let status = self.status().await;
            if condition(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "not in time: {what}; D says {status}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// Something that a service made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its id.
    pub id: String,
    /// Positions of its events.
    pub token: String,
}

/// Removes a service's directory, as somebody who wants to see what is lost.
pub fn remove(directory: &Path) {
    std::fs::remove_dir_all(directory).expect("the directory goes");
}
