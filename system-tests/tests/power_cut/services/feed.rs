//! Services beside the recorded one, on disks that keep their power.

use std::sync::Arc;

use daybook_kafka::Kafka;
use quickstart::client::{Client, Method};
use serde_json::{Value, json};
use system_tests::site::Made;
use tempfile::TempDir;

use super::restarted::{Restarted, Which};
use super::story::Draft;
use crate::recording;

/// Services A and B.
pub(crate) struct Feed {
    client: Client,
    users: Restarted,
    products: Restarted,
    _directory: TempDir,
}

/// A user and a product that somebody may order for.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) user: Made,
    pub(crate) product: Made,
}

impl Feed {
    pub(crate) async fn start(kafka: &Kafka) -> Arc<Self> {
        let (directory, client) = (recording::directory(), Client::new());
        let users = Restarted::start(Which::Users, kafka, &directory.path().join("users")).await;
        let products = Restarted::start(Which::Products, kafka, &directory.path().join("products")).await;
        let users = users.ready(&client).await.expect("A starts");
        let products = products.ready(&client).await.expect("B starts");
        Arc::new(Self { client, users, products, _directory: directory })
    }

    pub(crate) async fn pair(&self, name: &str) -> Pair {
        let user =
            json!({ "email": format!("{name}@example.org"), "name": name, "address": "1 Main Street" });
        // Long, for D's rows to be more than it has in one piece of its file.
        let title = format!("{name} {}", "𝄞".repeat(480));
        let product = json!({ "title": title, "image": title, "price_cents": 4900 });
        Pair {
            user: self.made(&self.users.url, "user", user).await,
            product: self.made(&self.products.url, "product", product).await,
        }
    }

    /// The user of a pair goes; the token of that.
    pub(crate) async fn delete(&self, pair: &Pair) -> String {
        let draft = Draft::new(Method::DELETE, &format!("/users/{}", pair.user.id), Value::Null, 204);
        draft.send(&self.client, &self.users.url).await.expect("an answer").token.expect("a token")
    }

    async fn made(&self, url: &str, what: &str, body: Value) -> Made {
        let draft = Draft::new(Method::POST, &format!("/{what}s"), body, 201);
        let answer = draft.send(&self.client, url).await.expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = answer.body[format!("{what}_id")].as_str().expect("an id").to_owned();
        Made { id, token: answer.token.expect("a token") }
    }

    /// All that was decided is in the log.
    pub(crate) async fn stop(self: Arc<Self>) {
        let feed = Arc::into_inner(self).expect("nobody needs it any more");
        feed.users.stop().await.expect("A stops");
        feed.products.stop().await.expect("B stops");
    }
}
