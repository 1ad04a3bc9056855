//! Requests that were answered before outcomes were kept, repeated after the upgrade.
//!
//! The fixture is what A, B and C of commit f1d0a6b answered to a number of requests, and the rows that they kept. They
//! remembered for 500 years.

use axum::http::{HeaderMap, Method};
use daybook_journal::{Group, KeyOutcome};
use serde::Deserialize;

use crate::orders::Orders;
use crate::products::Products;
use crate::testing::{Call, Reply, Shop, TestService};
use crate::users::Users;
use daybook_command::Aggregate;

const FIXTURE: &str = include_str!("../../fixtures/answered-f1d0a6b.json");

#[derive(Deserialize)]
struct Answered {
    #[serde(flatten)]
    asked: Asked,
    service: String,
    row: Row,
}

/// A request and what was answered to it.
#[derive(Deserialize)]
pub(super) struct Asked {
    what: String,
    pub(super) request: Request,
    answer: Answer,
}

#[derive(Deserialize)]
pub(super) struct Request {
    method: String,
    path: String,
    pub(super) headers: Vec<(String, String)>,
    body: Option<String>,
}

/// In hexadecimal digits.
#[derive(Deserialize)]
struct Row {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    pub(super) fn call(&self) -> Call {
        let call = Call::new(Method::from_bytes(self.method.as_bytes()).unwrap(), &self.path);
        // What it had waited for has long been there, and does not make it another request.
        let headers = self.headers.iter().filter(|(name, _)| name != "daybook-after");
        let call = headers.fold(call, |call, (name, value)| call.header(name, value));
        match &self.body {
            Some(body) => call.header("content-type", "application/json").body(body.clone()),
            None => call,
        }
    }
}

impl Asked {
    #[track_caller]
    pub(super) fn is(&self, reply: &Reply) {
        assert_eq!(reply.status, self.answer.status, "{}: {reply:?}", self.what);
        assert_eq!(reply.body, today(&self.answer.body), "{}", self.what);
        let headers =
            self.answer.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut headers: HeaderMap = headers.collect();
        let mut found = reply.headers.clone();
        // What an answer says to caches is newer than these, and so are the types of problems, which are shorter.
        let of_nothing = self.answer.body.is_empty().then_some("content-type");
        for name in ["cache-control", "vary", "content-length"].into_iter().chain(of_nothing) {
            headers.remove(name);
            found.remove(name);
        }
        assert_eq!(found, headers, "{}", self.what);
    }
}

/// A body of before with its problem's type as it is now.
pub(super) fn today(body: &str) -> String {
    body.replace("urn:daybook:problem:", "/problems/")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

async fn repeat<A: Aggregate>(service: &mut TestService<A>, all: &[Answered]) {
    let all: Vec<_> = all.iter().filter(|answered| answered.service == A::SERVICE).collect();
    let key = |answered: &&Answered| KeyOutcome {
        // Behind the letter of its kind.
        hash: bytes(&answered.row.key)[1..].try_into().unwrap(),
        outcome: bytes(&answered.row.value),
    };
    service.append(Group { keys: all.iter().map(key).collect(), ..Group::default() });
    for answered in all {
        let answered = &answered.asked;
        answered.is(&answered.request.call().send(&service.router).await);
        let other = answered.request.call().header("if-match", "\"77\"");
        if !answered.request.headers.iter().any(|(name, _)| name == "if-match") {
            other.send(&service.router).await.is_problem(422, "idempotency-key-reused");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_kept_before_the_upgrade_is_given_again() {
    let mut shop = Shop::start();
    let all: Vec<Answered> = serde_json::from_str(FIXTURE).unwrap();
    repeat::<Users>(&mut shop.users, &all).await;
    repeat::<Products>(&mut shop.products, &all).await;
    repeat::<Orders>(&mut shop.orders, &all).await;
    for events in [shop.users.journaled(), shop.products.journaled(), shop.orders.journaled()] {
        assert!(events.is_empty(), "something was decided a second time: {events:?}");
    }
}
