//! The course notes' story: a user signs up, 'pants' appear, the user orders them, and D answers from its own copy.

use std::time::{Duration, Instant};

use daybook::AppSettings;
use daybook_event::claim;
use daybook_kafka::topics::{self, Watermarks};
use daybook_kafka::{Kafka, Polled, Reader, Start};
use daybook_service::program::chain;
use quickstart::client::{Answer, Client};
use quickstart::shop::Urls;
use serde_json::{Value, json};

use crate::{log_line, print};

/// Longest look at whether there is an event.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// Longest wait for one record.
const LOOK_POLL: Duration = Duration::from_millis(200);

/// What the story left behind, for the rebuild to compare with.
#[derive(Debug)]
pub(crate) struct Played {
    /// D's address for the user's ordered products.
    pub(crate) question: String,
    pub(crate) answer: Value,
    /// Positions that the answer rests on.
    pub(crate) token: String,
}

/// Plays the story and prints each step.
/// Errors: A sentence that names the step that failed.
pub(crate) async fn play(client: &Client, urls: &Urls, kafka: &Kafka) -> Result<Played, String> {
    let story = Story { client, kafka };
    let user = json!({ "email": "jill@example.com", "name": "Jill", "address": "1 Main Street" });
    let user = story.command("A user signs up", &format!("{}/users", urls.users), &user, "").await?;
    let product = json!({ "title": "pants", "image": "pants.jpg", "price_cents": 4900 });
    let product =
        story.command("A product appears", &format!("{}/products", urls.products), &product, "").await?;
    let after = [token(&user), token(&product)].join(",");
    let order = json!({ "user_id": user.body["user_id"], "product_id": product.body["product_id"] });
    let order =
        story.command("The user orders it", &format!("{}/orders", urls.orders), &order, &after).await?;
    let everything = [after, token(&order)].join(",");
    story.question(urls, &user, everything).await
}

/// Whether there is no event yet, so that the story is worth telling. Asks the broker itself: D's status knows what there
/// is only some time after its start.
/// Errors: A sentence, if the broker does not answer.
pub(crate) async fn is_log_empty(settings: &AppSettings) -> Result<bool, String> {
    let (kafka, partitions) = (settings.kafka.clone(), settings.partitions);
    let looked = tokio::task::spawn_blocking(move || has_no_event(&kafka, partitions)).await;
    looked.map_err(|error| error.to_string())?
}

/// The services have claimed their partitions already, which are records, but no events.
fn has_no_event(kafka: &Kafka, partitions: i32) -> Result<bool, String> {
    let of = |topic| (0..partitions).map(move |partition| (topic, partition));
    let all: Vec<(&str, i32)> = schemas::TOPICS.into_iter().flat_map(of).collect();
    let held = topics::all_watermarks(kafka, &all).map_err(|error| chain(&error))?;
    let start = |((topic, partition), held): (&(&str, i32), &Watermarks)| Start {
        topic: (*topic).to_owned(),
        partition: *partition,
        offset: held.low,
    };
    let starts: Vec<_> = all.iter().zip(&held).map(start).collect();
    let reader = Reader::open(kafka, &starts).map_err(|error| chain(&error))?;
    let (mut at_end, deadline) = (vec![false; starts.len()], Instant::now() + LOOK_MAX);
    while at_end.contains(&false) {
        match reader.poll(LOOK_POLL).map_err(|error| chain(&error))? {
            Polled::Record(record) if claim::open(record.value()).is_none() => return Ok(false),
            Polled::End { source } => at_end[source] = true,
            Polled::Nothing if Instant::now() > deadline => {
                return Err(format!("the log could not be read within {} s", LOOK_MAX.as_secs()));
            }
            Polled::Record(_) | Polled::Nothing => {}
        }
    }
    Ok(true)
}

struct Story<'a> {
    client: &'a Client,
    kafka: &'a Kafka,
}

impl Story<'_> {
    async fn command(&self, step: &str, url: &str, body: &Value, after: &str) -> Result<Answer, String> {
        print::step(step);
        print::request("POST", url, Some(body));
        let sent = self.client.post(url, body).after(after).send_ok().await;
        let answer = sent.map_err(|error| chain(&error))?;
        print::answer(&answer);
        let (kafka, token) = (self.kafka.clone(), token(&answer));
        let found = tokio::task::spawn_blocking(move || log_line::find(&kafka, &token)).await;
        print::event(&found.map_err(|error| error.to_string())??);
        Ok(answer)
    }

    async fn question(&self, urls: &Urls, user: &Answer, token: String) -> Result<Played, String> {
        print::step("Service D answers from its own copy: all products ordered by this user");
        let user_id = user.body["user_id"].as_str().unwrap_or_default();
        let question = format!("{}/users/{user_id}/products", urls.query);
        print::request("GET", &question, None);
        let answer =
            self.client.get(&question).after(&token).send_ok().await.map_err(|error| chain(&error))?;
        print::answer(&answer);
        Ok(Played { question, answer: answer.body, token })
    }
}

fn token(answer: &Answer) -> String {
    answer.token.clone().unwrap_or_default()
}
