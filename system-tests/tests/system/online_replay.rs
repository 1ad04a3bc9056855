//! A replay while commands arrive and reads go on: no read fails, none goes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quickstart::client::Client;
use serde_json::Value;
use system_tests::broker::TestBroker;
use system_tests::process;
use system_tests::site::{Made, Site};

super::on_both_brokers!(replay_beside_commands_and_reads, replay);

/// Orders before the replay, so that there is something to replay.
const ORDERS_BEFORE: usize = 200;
/// Replays in a row.
const REPLAYS: usize = 3;

async fn replay(broker: TestBroker) {
    let site = Site::start(broker).await;
    let user = site.sign_up("jill@example.com").await;
    let product = site.product("pants").await;
    for _ in 0..ORDERS_BEFORE {
        site.order(&user, &product).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read(site.client.clone(), url(&site, &user), Arc::clone(&stop)));
    let mut generations = BTreeSet::new();
    for _ in 0..REPLAYS {
        let before = site.status().await["generation"].clone();
        let replay = {
            let flags = [vec!["--replay".to_owned()], replay_flags(&site)].concat();
            tokio::task::spawn_blocking(move || process::run("projector", &flags))
        };
        while !replay.is_finished() {
            let order = site.order(&user, &product).await;
            site.ordered_products(&user, &order.token).await;
        }
        let finished = replay.await.expect("no panic");
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        swapped(&site, &before).await;
        generations.insert(before.to_string());
    }
    assert_eq!(generations.len(), REPLAYS, "each replay made a generation of its own");
    stop.store(true, Ordering::Relaxed);
    let reads = reader.await.expect("every read was right");
    assert!(reads > 0, "reads went on");
}

fn url(site: &Site, user: &Made) -> String {
    format!("{}/users/{}/products", site.urls.query, user.id)
}

/// `projector` takes no address to listen on.
fn replay_flags(site: &Site) -> Vec<String> {
    let mut flags = site.broker.flags();
    flags.extend(["--data-dir".to_owned(), site.data("read-model").display().to_string()]);
    flags
}

/// Reads until told to stop; the number of orders in the answers must never fall.
async fn read(client: Client, url: String, stop: Arc<AtomicBool>) -> u64 {
    let (mut reads, mut seen) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let answer = client.get(&url).send().await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let orders = answer.body["products"][0]["orders"].as_u64().unwrap_or(0);
        assert!(orders >= seen, "an answer went back from {seen} orders to {orders}");
        (reads, seen) = (reads + 1, orders);
    }
    reads
}

async fn swapped(site: &Site, before: &Value) {
    let deadline = tokio::time::Instant::now() + system_tests::wait::DEADLINE;
    while site.status().await["generation"] == *before {
        assert!(tokio::time::Instant::now() < deadline, "D did not take up the new generation");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
