//! Sending a command until it is answered, with one idempotency key for all attempts.

use std::time::{Duration, Instant};

use daybook_event::headers;
use daybook_event::token::Token;
use quickstart::client::{Answer, ClientError, Method, Request};
use rand::RngExt;
use serde_json::Value;
use uuid::Uuid;

use super::Client;
use super::known::Thing;
use crate::history::{Asked, Attempt, Command, Outcome};

/// Pause before a command is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often a client gives up after an unclear answer, so that some outcomes stay unclear.
const GIVES_UP: f64 = 0.02;
/// How often a client sends an answered command again.
const REPEATS: f64 = 0.05;
/// How often a client orders with the tokens of user and product.
const WITH_TOKENS: f64 = 0.8;
/// Codes of 409 answers that ask to come again.
const IN_FLIGHT: &str = "request-in-flight";

/// A command that took effect.
pub(super) struct Done {
    pub(super) id: Uuid,
    pub(super) token: Token,
}

/// What is sent.
pub(super) struct Sent {
    method: Method,
    url: String,
    body: Option<Value>,
    after: String,
}

/// A command that was acknowledged some time ago.
pub(super) struct Earlier {
    sent: Sent,
    /// Where it stands in the history.
    at: usize,
}

impl Client {
    /// Makes something of service A or B.
    pub(super) async fn create_at(&mut self, path: &str, asked: Asked, body: &Value) -> Option<Done> {
        let sent = Sent {
            method: Method::POST,
            url: self.url(path),
            body: Some(body.clone()),
            after: String::new(),
        };
        self.command(asked, None, sent).await
    }

    /// Changes something, or ends it if there is no body.
    pub(super) async fn change_at(
        &mut self,
        path: &str,
        asked: Asked,
        on: Uuid,
        body: Option<&Value>,
    ) -> Option<Done> {
        let method = if body.is_some() { Method::PATCH } else { Method::DELETE };
        let sent = Sent { method, url: self.url(path), body: body.cloned(), after: String::new() };
        self.command(asked, Some(on), sent).await
    }

    /// Orders.
    pub(super) async fn order_at(&mut self, user: &Thing, product: &Thing) -> Option<Done> {
        let quantity = self.random.random_range(1..=9);
        let body = serde_json::json!({ "user_id": user.id, "product_id": product.id, "quantity": quantity });
        let with_tokens = self.random.random_bool(WITH_TOKENS);
        let with_tokens = with_tokens && !product.token.is_empty();
        let after = if with_tokens { format!("{},{}", user.token, product.token) } else { String::new() };
        let sent = Sent { method: Method::POST, url: self.url("/orders"), body: Some(body), after };
        self.command(Asked::Order { user: user.id, product: product.id }, None, sent).await
    }

    fn url(&self, path: &str) -> String {
        let urls = &self.field.urls;
        let base = match path.split('/').nth(1) {
            Some("users") => &urls.users,
            Some("products") => &urls.products,
            _ => &urls.orders,
        };
        format!("{base}{path}")
    }

    async fn command(&mut self, asked: Asked, on: Option<Uuid>, sent: Sent) -> Option<Done> {
        let mut command =
            Command { id: Uuid::now_v7(), client: self.number, asked, on, attempts: Vec::new() };
        let deadline = Instant::now() + self.field.patience;
        while Instant::now() < deadline {
            self.attempt(&sent, &mut command).await;
            if command.is_answered() || self.random.random_bool(GIVES_UP) {
                break;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        if command.is_answered() && self.random.random_bool(REPEATS) {
            self.attempt(&sent, &mut command).await;
        }
        let done = command.accepted().map(|(token, id)| Done { id, token: token.clone() });
        let at = {
            let commands = &mut self.field.history().commands;
            commands.push(command);
            commands.len() - 1
        };
        if done.is_some() && self.earlier.is_none() {
            self.earlier = Some(Earlier { sent, at });
        }
        done
    }

    /// Sends a command of some time ago once more: what became of it must still be known, whatever happened to the service
    /// since then.
    pub(super) async fn repeat_earlier(&mut self) {
        let Some(Earlier { sent, at }) = self.earlier.take() else { return };
        let Some(mut command) = self.field.history().commands.get(at).cloned() else { return };
        self.attempt(&sent, &mut command).await;
        let again = command.attempts.pop();
        if let Some(command) = self.field.history().commands.get_mut(at) {
            command.attempts.extend(again);
        }
    }

    async fn attempt(&self, sent: &Sent, command: &mut Command) {
        let id = command.id.to_string();
        let mut request: Request = self.field.http.request(sent.method.clone(), &sent.url).after(&sent.after);
        request = request.header(headers::IDEMPOTENCY_KEY, &id).header(headers::CORRELATION_ID, &id);
        if let Some(body) = &sent.body {
            request = request.json(body);
        }
        let began_us = self.field.now_us();
        let answer = request.send().await;
        let outcome = outcome(answer, command.on);
        command.attempts.push(Attempt { began_us, ended_us: self.field.now_us(), outcome });
    }
}

/// What an answer says about a command on `on`.
fn outcome(answer: Result<Answer, ClientError>, on: Option<Uuid>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::Unclear { why: error.to_string() },
    };
    let problem = answer.body["type"].as_str().unwrap_or_default().to_owned();
    match answer.status {
        200..300 => accepted(&answer, on),
        409 if problem.ends_with(IN_FLIGHT) => Outcome::Unclear { why: problem },
        status @ 400..500 => Outcome::Refused { status, problem },
        status => Outcome::Unclear { why: format!("{status} {problem}") },
    }
}

/// An acknowledgement without token or id would be a fault; it then fits no record of the log.
fn accepted(answer: &Answer, on: Option<Uuid>) -> Outcome {
    let made = ["order_id", "user_id", "product_id"].iter().find_map(|name| answer.body[*name].as_str());
    let id = on.or_else(|| made.and_then(|id| id.parse().ok())).unwrap_or_default();
    let token = answer.token.as_deref().and_then(|token| token.parse().ok()).unwrap_or_default();
    Outcome::Accepted { status: answer.status, token, id }
}
