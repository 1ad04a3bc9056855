//! Questions to D and C whose answers rest on the whole log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use daybook_event::headers;
use daybook_event::token::{Token, TokenPosition};
use quickstart::client::{Answer, Client, Request};
use quickstart::shop::Urls;
use schemas::orders;
use serde_json::json;
use uuid::Uuid;

use crate::clients::reads;
use crate::evidence::Standing;
use crate::history::{Seen, SeenProduct};

/// Pause before a question is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// As long as D and C grant.
const WAIT_MS: &str = "5000";
/// End of the type of a problem that nothing but a release mends: an event that waits is among those that are asked for.
const QUARANTINED: &str = "quarantined";

/// What was answered.
#[derive(Default)]
pub(super) struct Answers {
    /// D's about users.
    pub(super) users: BTreeMap<Uuid, Seen>,
    /// D's about products.
    pub(super) products: BTreeMap<Uuid, Option<SeenProduct>>,
    /// C's about both.
    pub(super) standing: BTreeMap<Uuid, Standing>,
    /// Sentences about what was not.
    pub(super) unanswered: Vec<String>,
}

/// Asks them.
pub(super) struct Questions<'c> {
    pub(super) client: &'c Client,
    /// The last position of every partition.
    pub(super) after: BTreeMap<(String, i32), u64>,
    pub(super) urls: Urls,
    /// Longest time until an answer comes.
    pub(super) answer_max: Duration,
}

/// Why there is no answer.
struct Unanswered {
    why: String,
    /// It will not answer the next one either.
    late: bool,
}

impl Display for Unanswered {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.why)
    }
}

impl Questions<'_> {
    pub(super) async fn answers(&self, users: &BTreeSet<Uuid>, products: &BTreeSet<Uuid>) -> Answers {
        let mut unanswered = Vec::new();
        let mut answers = Answers {
            users: each(users, &mut unanswered, |user| self.user(user)).await,
            products: each(products, &mut unanswered, |product| self.product(product)).await,
            standing: each(users, &mut unanswered, |user| self.user_standing(user)).await,
            unanswered: Vec::new(),
        };
        let present = answers.standing.iter().find(|(_, standing)| **standing == Standing::Present);
        match present.map(|(user, _)| *user) {
            Some(user) => {
                let of_product = |product| self.product_standing(user, product);
                answers.standing.extend(each(products, &mut unanswered, of_product).await);
            }
            None => unanswered.push("no user is left to ask service C about products with".to_owned()),
        }
        Answers { unanswered, ..answers }
    }

    fn token(&self, of: impl Fn(&str) -> bool) -> String {
        let positions = self.after.iter().filter(|((topic, _), _)| of(topic));
        let positions = positions.map(|((topic, partition), position)| TokenPosition {
            topic: topic.clone(),
            partition: *partition,
            position: *position,
        });
        Token { positions: positions.collect() }.to_string()
    }

    /// Asks until the answer is none that asks to come again.
    async fn ask(&self, request: impl Fn() -> Request) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + self.answer_max;
        loop {
            let why = match request().header(headers::WAIT_MS, WAIT_MS).send().await {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                Ok(answer) if problem(&answer).ends_with(QUARANTINED) => {
                    return Err(Unanswered { late: true, ..unexpected("the whole log", &answer) });
                }
                Ok(Answer { status, body, .. }) => format!("{status} {body}"),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                let why = format!("no answer that rests on the whole log: {why}");
                return Err(Unanswered { why, late: true });
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn user(&self, id: Uuid) -> Result<Seen, Unanswered> {
        let mut all = Vec::new();
        let base = format!("{}/users/{id}/orders?limit=500", self.urls.query);
        let (mut url, after) = (base.clone(), self.token(|_| true));
        loop {
            let answer = self.ask(|| self.client.get(&url).after(&after)).await?;
            match answer.status {
                200 => all.extend(reads::orders(&answer.body)),
                404 => return Ok(Seen::Nothing),
                _ => return Err(unexpected(&url, &answer)),
            }
            let Some(next) = answer.body["next"].as_str() else { return Ok(Seen::Orders(all)) };
            url = format!("{base}&cursor={next}");
        }
    }

    async fn product(&self, id: Uuid) -> Result<Option<SeenProduct>, Unanswered> {
        let url = format!("{}/products/{id}", self.urls.query);
        let after = self.token(|_| true);
        let answer = self.ask(|| self.client.get(&url).after(&after)).await?;
        Ok((answer.status == 200).then(|| reads::product(&answer.body)))
    }

    /// What C says of a user: it is asked to order something that never was.
    async fn user_standing(&self, user: Uuid) -> Result<Standing, Unanswered> {
        let answer = self.order(user, Uuid::now_v7()).await?;
        said(&answer, "buyer-unknown", "buyer-deleted", "ordered-product-unknown")
    }

    /// What C says of a product: somebody who is there orders it. If it is there, this is an order, after all else.
    async fn product_standing(&self, user: Uuid, product: Uuid) -> Result<Standing, Unanswered> {
        let answer = self.order(user, product).await?;
        if answer.status == 201 {
            return Ok(Standing::Present);
        }
        said(&answer, "ordered-product-unknown", "ordered-product-discontinued", "placed")
    }

    async fn order(&self, user: Uuid, product: Uuid) -> Result<Answer, Unanswered> {
        let body = json!({ "user_id": user, "product_id": product });
        let url = format!("{}/orders", self.urls.orders);
        let after = self.token(|topic| topic != orders::TOPIC);
        self.ask(|| self.client.post(&url, &body).after(&after)).await
    }
}

/// Asks about each, until somebody does not answer in time.
async fn each<T>(
    ids: &BTreeSet<Uuid>,
    unanswered: &mut Vec<String>,
    ask: impl AsyncFn(Uuid) -> Result<T, Unanswered>,
) -> BTreeMap<Uuid, T> {
    let mut answers = BTreeMap::new();
    for id in ids {
        match ask(*id).await {
            Ok(answer) => drop(answers.insert(*id, answer)),
            Err(error) => {
                unanswered.push(format!("{id}: {error}"));
                if error.late {
                    break;
                }
            }
        }
    }
    answers
}

fn problem(answer: &Answer) -> &str {
    answer.body["type"].as_str().unwrap_or_default()
}

fn unexpected(asked: &str, answer: &Answer) -> Unanswered {
    Unanswered { why: format!("{asked} was answered {} {}", answer.status, answer.body), late: false }
}

/// What a refusal says: its problem ends with one of these words.
fn said(answer: &Answer, unknown: &str, gone: &str, present: &str) -> Result<Standing, Unanswered> {
    let problem = problem(answer);
    match () {
        () if problem.ends_with(unknown) => Ok(Standing::Unknown),
        () if problem.ends_with(gone) => Ok(Standing::Gone),
        () if problem.ends_with(present) => Ok(Standing::Present),
        () => Err(unexpected("an order with service C", answer)),
    }
}
