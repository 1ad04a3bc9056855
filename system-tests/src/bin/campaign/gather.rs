//! What is left when everybody has gone home: the log, D's last answers, C's tables, and D's rows against a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use quickstart::client::{Answer, Client, Request};
use schemas::headers;
use schemas::shop::{ShopEvent, orders};
use schemas::token::{Token, TokenPosition};
use serde_json::json;
use system_tests::process;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::Fallible;
use crate::clients::reads;
use crate::evidence::{Evidence, Logged, SeenProduct, Standing, Verified, split_repeats};
use crate::history::{History, Seen};
use crate::log;
use crate::world::{ORDERS, QUERY, World};

/// Longest time until an answer comes that rests on the whole log.
const ANSWER_MAX: Duration = Duration::from_secs(90);
/// Pause before a question is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// As long as D and C grant.
const WAIT_MS: &str = "5000";

/// Brings everything to rest and looks at it.
pub(crate) fn evidence(
    world: &mut World,
    history: History,
    client: &Client,
    handle: &Handle,
) -> Fallible<Evidence> {
    // SIGTERM drains the outboxes: what is in the log then is all that there will ever be.
    for service in world.services.iter_mut().take(QUERY) {
        service.stop()?;
    }
    let whole = log::read(&world.kafka())?;
    let (log, repeats) = split_repeats(whole.in_force);
    world.service(ORDERS)?.start();
    world.readers_ready()?;
    let last = Last { client, after: ends(&log), urls: world.urls() };
    let (users, products) = (subjects(&log, is_user), subjects(&log, is_product));
    let (users, products, standing) = handle.block_on(last.answers(&users, &products))?;
    for index in [ORDERS, QUERY] {
        world.service(index)?.stop()?;
    }
    let verified = verify(world);
    let unasked = std::mem::take(&mut world.unasked);
    let (superseded, unreadable) = (whole.superseded, whole.unreadable);
    Ok(Evidence {
        history,
        log,
        repeats,
        superseded,
        unreadable,
        users,
        products,
        standing,
        verified,
        unasked,
    })
}

fn is_user(event: &ShopEvent) -> bool {
    matches!(event, ShopEvent::User(_))
}

fn is_product(event: &ShopEvent) -> bool {
    matches!(event, ShopEvent::Product(_))
}

fn subjects(log: &[Logged], of: fn(&ShopEvent) -> bool) -> BTreeSet<Uuid> {
    log.iter().filter(|record| of(&record.event)).map(|record| record.aggregate).collect()
}

/// The last position of every partition.
fn ends(log: &[Logged]) -> BTreeMap<(String, i32), u64> {
    log.iter().map(|record| ((record.topic.clone(), record.partition), record.position)).collect()
}

/// D's about users, D's about products, C's about both.
type Answers = (BTreeMap<Uuid, Seen>, BTreeMap<Uuid, Option<SeenProduct>>, BTreeMap<Uuid, Standing>);

/// Questions whose answers rest on the whole log.
struct Last<'c> {
    client: &'c Client,
    after: BTreeMap<(String, i32), u64>,
    urls: quickstart::shop::Urls,
}

impl Last<'_> {
    async fn answers(&self, users: &BTreeSet<Uuid>, products: &BTreeSet<Uuid>) -> Fallible<Answers> {
        let mut answers = Answers::default();
        for user in users {
            answers.0.insert(*user, self.user(*user).await?);
        }
        for product in products {
            answers.1.insert(*product, self.product(*product).await?);
        }
        for user in users {
            answers.2.insert(*user, self.user_standing(*user).await?);
        }
        let present = answers.2.iter().find(|(_, standing)| **standing == Standing::Present);
        let user = present.map(|(user, _)| *user).ok_or("no user is left to ask about products with")?;
        for product in products {
            answers.2.insert(*product, self.product_standing(user, *product).await?);
        }
        Ok(answers)
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
    async fn ask(&self, request: impl Fn() -> Request) -> Fallible<Answer> {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            match request().header(headers::WAIT_MS, WAIT_MS).send().await {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                Ok(answer) if Instant::now() >= deadline => {
                    return Err(format!(
                        "no answer that rests on the whole log: {} {}",
                        answer.status, answer.body
                    )
                    .into());
                }
                Err(error) if Instant::now() >= deadline => return Err(error.into()),
                Ok(_) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn user(&self, id: Uuid) -> Fallible<Seen> {
        let mut all = Vec::new();
        let base = format!("{}/users/{id}/orders?limit=500", self.urls.query);
        let (mut url, after) = (base.clone(), self.token(|_| true));
        loop {
            let answer = self.ask(|| self.client.get(&url).after(&after)).await?;
            match answer.status {
                200 => all.extend(reads::orders(&answer.body)),
                404 => return Ok(Seen::NoUser),
                status => return Err(format!("{url} answered {status}: {}", answer.body).into()),
            }
            let Some(next) = answer.body["next"].as_str() else { return Ok(Seen::Orders(all)) };
            url = format!("{base}&cursor={next}");
        }
    }

    async fn product(&self, id: Uuid) -> Fallible<Option<SeenProduct>> {
        let url = format!("{}/products/{id}", self.urls.query);
        let after = self.token(|_| true);
        let answer = self.ask(|| self.client.get(&url).after(&after)).await?;
        Ok((answer.status == 200).then(|| SeenProduct {
            title: answer.body["title"].as_str().map(str::to_owned),
            discontinued: answer.body["discontinued"] == true,
        }))
    }

    /// What C says of a user: it is asked to order something that never was.
    async fn user_standing(&self, user: Uuid) -> Fallible<Standing> {
        let answer = self.order(user, Uuid::now_v7()).await?;
        said(&answer, "user-unknown", "user-deleted", "product-unknown")
    }

    /// What C says of a product: somebody who is there orders it. If it is there, this is an order, after all else.
    async fn product_standing(&self, user: Uuid, product: Uuid) -> Fallible<Standing> {
        let answer = self.order(user, product).await?;
        if answer.status == 201 {
            return Ok(Standing::Present);
        }
        said(&answer, "product-unknown", "product-discontinued", "placed")
    }

    async fn order(&self, user: Uuid, product: Uuid) -> Fallible<Answer> {
        let body = json!({ "user_id": user, "product_id": product });
        let url = format!("{}/orders", self.urls.orders);
        let after = self.token(|topic| topic != orders::TOPIC);
        self.ask(|| self.client.post(&url, &body).after(&after)).await
    }
}

/// What a refusal says: its problem ends with one of these words.
fn said(answer: &Answer, unknown: &str, gone: &str, present: &str) -> Fallible<Standing> {
    let problem = answer.body["type"].as_str().unwrap_or_default();
    match () {
        () if problem.ends_with(unknown) => Ok(Standing::Unknown),
        () if problem.ends_with(gone) => Ok(Standing::Gone),
        () if problem.ends_with(present) => Ok(Standing::Present),
        () => Err(format!("service C answered {} {}", answer.status, answer.body).into()),
    }
}

fn verify(world: &World) -> Verified {
    let flags = world.replays.projector_flags("--verify");
    let finished = process::run("projector", &flags);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    Verified { same: finished.code == Some(0), said }
}
