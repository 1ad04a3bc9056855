//! Kafka is away until the outbox is full: commands are refused by name then, and taken again by themselves.

use quickstart::client::Answer;
use serde_json::json;
use system_tests::broker::TestBroker;
use system_tests::kafka::OwnKafka;
use system_tests::site::{Made, Site};
use system_tests::wait::DEADLINE;

/// Events that may wait.
const UNSENT_MAX: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn commands_are_refused_while_the_outbox_is_full_and_nothing_is_lost() {
    let kafka = OwnKafka::start();
    let mut site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    site.users.take().expect("it runs").terminate();
    let few = UNSENT_MAX.to_string();
    (site.users, site.urls.users) =
        site.service_unready_with("users", "users", &["--unsent-events-max", &few]);
    let first = site.sign_up("first@example.com").await;
    site.ordered_products(&first, &first.token).await;

    kafka.stop();
    let mut accepted = Vec::new();
    let refused = loop {
        let answer = sign_up(&site, &format!("{}@example.com", accepted.len())).await;
        if answer.status != 201 {
            break answer;
        }
        accepted.push(Made {
            id: answer.body["user_id"].as_str().expect("an id").to_owned(),
            token: answer.token.expect("a command answers with a token"),
        });
        assert!(accepted.len() <= UNSENT_MAX, "more events wait than may");
    };
    // From half of it on, a partition that has its share of it leaves the rest to the others.
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(accepted.len() >= UNSENT_MAX / 2, "only {} events wait", accepted.len());
    assert_eq!(refused.body["type"], "/problems/outbox-full");

    kafka.start_again();
    // Sent again and again until it is taken.
    accepted.push(site.sign_up("last@example.com").await);
    for user in &accepted {
        seen(&site, user).await;
    }
}

/// Waits until D shows a user: it has to find Kafka again as well. Each question waits for its token for a while.
async fn seen(site: &Site, user: &Made) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let url = site.ordered_products_url(user);
    loop {
        let answer = site.client.get(&url).after(&user.token).send().await.expect("D answers");
        if answer.status == 200 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "D does not show {user:?}: {answer:?}");
    }
}

async fn sign_up(site: &Site, email: &str) -> Answer {
    let body = json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
    let asked = site.client.post(&format!("{}/users", site.urls.users), &body);
    asked.send().await.expect("it answers")
}
