//! One of three brokers is killed, and its partitions have no other copy: everything else goes on, running and starting.

use daybook_kafka::partition_for_key;
use quickstart::client::{Answer, Client, Method};
use schemas::TOPICS;
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::kafka::OwnKafka;
use system_tests::log;
use system_tests::site::{Made, Site};
use system_tests::wait::DEADLINE;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Clients that sign users up while the broker is away.
const CLIENTS: usize = 48;
/// Users of each: those of one partition of three are more than all partitions may have under way together.
const USERS_EACH: usize = 700;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka of its own"]
async fn all_partitions_but_those_of_the_broker_that_is_away_go_on() {
    let kafka = OwnKafka::start_with("3");
    let mut site = Site::start(TestBroker::at(kafka.brokers.clone())).await;
    let users = site.broker.kafka().topic_name(TOPICS[0]);
    let mut made = vec![site.sign_up("first@example.com").await];
    shown(&site, &made[0]).await;
    let victim = kafka.leader(&users, 0);
    let away: Vec<i32> =
        (0..PARTITIONS).filter(|partition| kafka.leader(&users, *partition) == victim).collect();
    let is_away = |user: &Made| away.contains(&partition_for_key(user.id.as_bytes(), PARTITIONS));

    kafka.kill(&victim);
    made.extend(burst(&site).await);
    let others: Vec<&Made> = made.iter().filter(|user| !is_away(user)).collect();
    assert!(made.len() - others.len() > 10_000, "{} wait", made.len() - others.len());
    // The last of each client came behind what the dead partition may have under way.
    for user in others.iter().rev().take(CLIENTS) {
        shown(&site, user).await;
    }
    let trouble = relay_trouble(&site).await;
    assert!(trouble.contains("partition 0"), "{trouble}");
    let is_named =
        |status: &Value| status["partitions_away"].to_string().contains(&format!("{users} partition 0 "));
    let status = site.status_when("D names what it does not hear", is_named).await;
    assert_eq!(status["stopped"], Value::Null, "{status}");

    // What is unsent is given up on after the drain timeout, and sent at a later start.
    assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
    (site.users, site.urls.users) = site.service("users", "users").await;
    let waits = made.iter().find(|user| is_away(user)).expect("one of a dead partition");
    let refused = change(&site, waits).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["type"], "/problems/partition-away", "{refused:?}");
    let (goes_on, token) = (others[0], change(&site, others[0]).await);
    assert_eq!(token.status, 200, "{token:?}");
    shown(&site, &Made { id: goes_on.id.clone(), token: token.token.expect("a token") }).await;

    assert_eq!(site.query.take().expect("it runs").terminate().code(), Some(0));
    site.start_query().await;
    let status = site.status_when("D names what it does not hear", is_named).await;
    assert_eq!((&status["state"], &status["stopped"]), (&json!("following"), &Value::Null), "{status}");
    let token = change(&site, others[1]).await.token.expect("a token");
    shown(&site, &Made { id: others[1].id.clone(), token }).await;
    // The first may have been there before the broker went away.
    let unsent = made.iter().rev().find(|user| is_away(user)).expect("one of a dead partition");
    let unheard = site.client.get(&site.ordered_products_url(unsent)).after(&unsent.token).send().await;
    assert_eq!(unheard.expect("D answers").status, 503);

    kafka.start_broker(&victim);
    let deadline = Instant::now() + DEADLINE;
    while change(&site, waits).await.status != 200 {
        assert!(Instant::now() < deadline, "its partition is not claimed: {}", relay_trouble(&site).await);
    }
    for user in made.iter().filter(|user| is_away(user)) {
        shown(&site, user).await;
    }
    let events = log::events(site.broker.kafka(), TOPICS[0]);
    assert_eq!(events.iter().map(Vec::len).sum::<usize>(), made.len() + 3, "all are there, and each once");
    let status = site.status_when("all are back", |status| status["partitions_away"] == json!([])).await;
    assert_eq!(status["state"], "following", "{status}");
}

/// Signs users up from many clients at once; nobody is refused.
async fn burst(site: &Site) -> Vec<Made> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (http, url) = (site.client.clone(), format!("{}/users", site.urls.users));
        clients.spawn(async move {
            let mut made = Vec::with_capacity(USERS_EACH);
            for number in 0..USERS_EACH {
                made.push(sign_up(&http, &url, &format!("{client}-{number}@example.com")).await);
            }
            made
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

async fn sign_up(client: &Client, url: &str, email: &str) -> Made {
    let body = json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
    let answer = client.post(url, &body).send().await.expect("it answers");
    assert_eq!(answer.status, 201, "{answer:?}");
    Made {
        id: answer.body["user_id"].as_str().expect("an id").to_owned(),
        token: answer.token.expect("a command answers with a token"),
    }
}

async fn change(site: &Site, user: &Made) -> Answer {
    let body = json!({ "name": "Jack" });
    let url = format!("{}/users/{}", site.urls.users, user.id);
    site.client.request(Method::PATCH, &url).json(&body).send().await.expect("it answers")
}

/// Waits until D shows what a token names.
async fn shown(site: &Site, user: &Made) {
    let deadline = Instant::now() + DEADLINE;
    let url = site.ordered_products_url(user);
    loop {
        let answer = site.client.get(&url).after(&user.token).send().await.expect("D answers");
        if answer.status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "D does not show {user:?}: {answer:?}");
    }
}

async fn relay_trouble(site: &Site) -> String {
    let ready = site.client.get(&format!("{}/health/ready", site.urls.users)).send().await;
    let ready: Value = ready.expect("it answers").body;
    ready["relay"]["trouble"].as_str().unwrap_or_default().to_owned()
}
