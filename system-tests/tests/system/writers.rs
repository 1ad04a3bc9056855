//! Two instances of one service, as real processes: the second is refused, or takes over and shuts the first one out.

use std::time::Duration;

use serde_json::json;
use system_tests::broker::TestBroker;
use system_tests::log;
use system_tests::process::{self, Process};
use system_tests::site::Site;
use tokio::task::JoinHandle;

/// Clients of the first instance.
const CLIENTS: usize = 4;
/// Users that are acknowledged before it is taken over.
const ACKNOWLEDGED_MIN: usize = 40;

/// Emails that were acknowledged.
type Burst = JoinHandle<Vec<String>>;

/// Signs users up at the first instance until it refuses or is gone.
fn burst(site: &Site, client: usize) -> Burst {
    let (http, url) = (site.client.clone(), format!("{}/users", site.urls.users));
    tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for number in 0.. {
            let email = format!("user-{client}-{number}@example.com");
            let body = json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
            match http.post(&url, &body).send().await {
                Ok(answer) if answer.status == 201 => acknowledged.push(email),
                _ => break,
            }
        }
        acknowledged
    })
}

/// Flags of another instance of service A, on a directory of its own.
fn another(site: &Site, more: &[&str]) -> Vec<String> {
    let mut flags = site.flags("users-too");
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    flags
}

fn events(site: &Site) -> usize {
    log::events(site.broker.kafka(), "users.events").iter().map(Vec::len).sum()
}

/// A shop whose service A answers only once Kafka has an event.
async fn cautious(broker: TestBroker) -> Site {
    let mut site = Site::start(broker).await;
    assert_eq!(site.users.take().expect("it runs").terminate().code(), Some(0));
    let mut flags = site.flags("users");
    flags.extend(["--answer-after", "kafka"].map(str::to_owned));
    let mut users = Process::start("users", &flags);
    site.urls.users = format!("http://{}", users.address());
    site.users = Some(users);
    site
}

super::on_both_brokers!(a_second_instance_is_refused, refuse);

async fn refuse(broker: TestBroker) {
    let site = Site::start(broker).await;
    let user = site.sign_up("jill@example.com").await;
    for more in [&["--recover"][..], &[]] {
        let flags = another(&site, more);
        let refused =
            tokio::task::spawn_blocking(move || process::run("users", &flags)).await.expect("no panic");
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        let asked = if more.is_empty() { "--recover" } else { "--take-over" };
        assert!(refused.stderr.contains(asked), "{}", refused.stderr);
    }
    let product = site.product("pants").await;
    let order = site.order(&user, &product).await;
    site.ordered_products(&user, &format!("{},{},{}", user.token, product.token, order.token)).await;
}

super::on_both_brokers!(who_is_taken_over_in_a_burst_ends_and_nothing_acknowledged_is_missing, take_over);

async fn take_over(broker: TestBroker) {
    taken_over(cautious(broker).await, false, Duration::ZERO).await;
}

super::on_both_brokers!(one_that_was_paused_in_a_burst_is_shut_out_when_it_goes_on, pause);

async fn pause(broker: TestBroker) {
    taken_over(cautious(broker).await, true, Duration::ZERO).await;
}

/// Longer than any timeout of a producer's connection or of a group of consumers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka, and a minute"]
async fn one_that_was_paused_for_a_minute_is_shut_out_when_it_goes_on() {
    taken_over(cautious(TestBroker::real()).await, true, Duration::from_secs(60)).await;
}

/// Another instance takes over while the first one is at work, or while it stands still in the middle of it.
async fn taken_over(mut site: Site, paused: bool, pause: Duration) {
    let mut bursts: Vec<Burst> = (0..CLIENTS).map(|client| burst(&site, client)).collect();
    while events(&site) < ACKNOWLEDGED_MIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut first = site.users.take().expect("it runs");
    if paused {
        first.signal(libc::SIGSTOP);
    }
    let mut second = Process::start("users", &another(&site, &["--recover", "--take-over"]));
    let url = format!("http://{}", second.address());
    tokio::time::sleep(pause).await;
    if paused {
        first.signal(libc::SIGCONT);
        // Those of before may have given up; these ask while it does not know yet.
        bursts.extend((CLIENTS..2 * CLIENTS).map(|client| burst(&site, client)));
    }
    assert_eq!(first.ended().code(), Some(1), "{}", first.log());
    let said = first.log();
    for part in ["fenced: instance", "claimed topic", "of its outbox are"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let mut acknowledged = Vec::new();
    for burst in bursts {
        acknowledged.extend(burst.await.expect("no panic"));
    }
    site.urls.users = url;
    site.users = Some(second);
    nothing_is_missing(&site, &acknowledged).await;
}

/// Who was told that a user is there cannot sign up anew with the same address, D has gone on, and its rows are those of a
/// replay.
async fn nothing_is_missing(site: &Site, acknowledged: &[String]) {
    assert!(acknowledged.len() >= ACKNOWLEDGED_MIN / 2, "{} acknowledged", acknowledged.len());
    for email in acknowledged {
        let body = json!({ "email": email, "name": "Jill", "address": "1 Main Street" });
        let again = site.client.post(&format!("{}/users", site.urls.users), &body).send().await;
        assert_eq!(again.expect("an answer").status, 409, "{email} was acknowledged, and is not there");
    }
    let user = site.sign_up("new@example.com").await;
    let product = site.product("pants").await;
    let order = site.order(&user, &product).await;
    let shown = site.ordered_products(&user, &format!("{},{}", user.token, order.token)).await.body;
    assert_eq!(shown["products"][0]["orders"], 1, "{shown}");
    site.status_when("D follows all", |status| {
        status["state"] == "following" && status["lag_total"] == json!(0)
    })
    .await;
    let verified = site.projector(&["--verify"]).await.expect("no panic");
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}
