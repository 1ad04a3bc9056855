//! Clients that load service A: they sign users up, change and delete them, half of it with idempotency keys.

use std::net::SocketAddr;
use std::sync::Arc;

use quickstart::client::{Client, Method};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::story::{Draft, Story, Went};

/// Users about whom a client goes on to send commands.
const USERS_AT_WORK: usize = 6;

/// Has every one of them do something at the same time, until all are done.
pub(crate) async fn all_at_once<C, F>(clients: Vec<C>, act: impl Fn(C) -> F) -> Vec<C>
where
    C: Send + 'static,
    F: Future<Output = C> + Send + 'static,
{
    let at_work: Vec<_> = clients.into_iter().map(|client| tokio::spawn(act(client))).collect();
    let mut clients = Vec::new();
    for task in at_work {
        clients.push(task.await.expect("no panic of a client"));
    }
    clients
}

/// Has every one of them send so many commands to the service at this address.
pub(crate) async fn live(shoppers: Vec<Shopper>, address: SocketAddr, commands: usize) -> Vec<Shopper> {
    let url = Arc::new(format!("http://{address}"));
    let live = |mut shopper: Shopper| {
        let url = Arc::clone(&url);
        async move {
            shopper.live(&url, commands).await;
            shopper
        }
    };
    all_at_once(shoppers, live).await
}

/// One client, which sends one command after the other.
pub(crate) struct Shopper {
    number: usize,
    random: StdRng,
    client: Client,
    pub(crate) stories: Vec<Story>,
    sent: usize,
}

impl Shopper {
    pub(crate) fn new(number: usize, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed << 32 | number as u64);
        let client = Client::new();
        Self { number, random, client, stories: Vec::new(), sent: 0 }
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
        let Some(at) = self.story_to_go_on() else { return self.sign_up(url).await };
        let draft = match self.random.random_range(0..10) {
            0..3 => return self.sign_up(url).await,
            3 => self.taken(at),
            4 => self.deletion(at),
            _ => self.change(at),
        };
        self.stories[at].go_on(draft, &self.client, url).await
    }

    /// One of the last users, if it is there and known how it is.
    fn story_to_go_on(&mut self) -> Option<usize> {
        let first = self.stories.len().saturating_sub(USERS_AT_WORK);
        let is_there = |story: &Story| {
            let deleted = story.commands.iter().any(|command| command.draft.method == Method::DELETE);
            story.is_known() && story.version() > 0 && !deleted
        };
        let all: Vec<usize> = (first..self.stories.len()).filter(|at| is_there(&self.stories[*at])).collect();
        (!all.is_empty()).then(|| all[self.random.random_range(0..all.len())])
    }

    async fn sign_up(&mut self, url: &str) -> Went {
        let email = self.email(self.stories.len());
        let body = json!({ "email": email, "name": self.text(200), "address": self.text(500) });
        let draft = self.draft(Method::POST, "/users".to_owned(), body, 201);
        self.stories.push(Story::default());
        let story = self.stories.last_mut().expect("one was just added");
        story.go_on(draft, &self.client, url).await
    }

    /// An address that somebody has: the refusal is remembered as any other outcome.
    fn taken(&mut self, at: usize) -> Draft {
        let body = json!({ "email": self.email(at), "name": "Ada", "address": "1 Row" });
        self.draft(Method::POST, "/users".to_owned(), body, 409)
    }

    fn deletion(&mut self, at: usize) -> Draft {
        let path = self.path(at);
        self.draft(Method::DELETE, path, Value::Null, 204)
    }

    fn change(&mut self, at: usize) -> Draft {
        let path = self.path(at);
        let body = json!({ "name": format!("{} {}", self.sent, self.number), "address": self.text(500) });
        let version = self.random.random_bool(0.5).then(|| self.stories[at].version());
        Draft { if_match: version, ..self.draft(Method::PATCH, path, body, 200) }
    }

    fn draft(&mut self, method: Method, path: String, body: Value, expects: u16) -> Draft {
        let key = self.random.random_bool(0.5).then(|| format!("key-{}-{}", self.number, self.sent));
        Draft { method, path, body, key, if_match: None, after: String::new(), expects }
    }

    fn path(&self, at: usize) -> String {
        self.stories[at].path.clone().expect("known stories have paths")
    }

    fn email(&self, story: usize) -> String {
        format!("{}-{story}@example.org", self.number)
    }

    /// Long enough for the journal to need another segment now and then.
    fn text(&mut self, letters_max: usize) -> String {
        let letters = self.random.random_range(1..=letters_max);
        (0..letters).map(|_| ['ä', '€', '𝄞', 'a'][self.random.random_range(0..4)]).collect()
    }
}
