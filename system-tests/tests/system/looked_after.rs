//! Looking after a read model that is served: verifying it, going back to the generation before, one replay at a time.

use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::process::{Finished, Process};
use system_tests::reader::Reader;
use system_tests::site::{Made, Site};

super::on_both_brokers!(a_verification_beside_commands_and_reads, verify);
super::on_both_brokers!(a_rollback_takes_no_answer_back, roll_back);
super::on_both_brokers!(a_second_replay_is_refused_and_the_first_is_seen, two_replays);

/// Orders before anything else.
const ORDERS_BEFORE: usize = 100;
/// Orders that only the newer generation has seen when it is taken back.
const ORDERS_BETWEEN: usize = 50;
/// Verifications in a row.
const VERIFICATIONS: usize = 2;
/// Answers that are waited for after a swap.
const READS_AFTER: u64 = 50;

async fn verify(broker: TestBroker) {
    let (site, user, product) = ordered(broker).await;
    let reader = Reader::start(&site.client, site.ordered_products_url(&user), 0);
    for _ in 0..VERIFICATIONS {
        let verification = site.projector(&["--verify", "--json"]);
        while !verification.is_finished() {
            let order = site.order(&user, &product).await;
            // The projection goes on while it is compared.
            site.ordered_products(&user, &order.token).await;
            reader.goes_on(1).await;
        }
        let report = done(verification.await.expect("no panic"));
        assert_eq!((&report["differences"], &report["more"]), (&json!([]), &json!(false)), "{report}");
        assert_eq!(report["digest_kept"], report["digest_rebuilt"], "{report}");
        assert!(report["events"].as_u64() >= Some(ORDERS_BEFORE as u64), "{report}");
    }
    let order = site.order(&user, &product).await;
    site.ordered_products(&user, &order.token).await;
    reader.stop().await;
    assert!(!site.data("read-model").join("verify").exists(), "what was built for it is gone");
}

async fn roll_back(broker: TestBroker) {
    let (site, user, product) = ordered(broker).await;
    let reader = Reader::start(&site.client, site.ordered_products_url(&user), 0);
    let older = site.status().await["generation"].clone();
    let newer = done(site.projector(&["--replay", "--json"]).await.expect("no panic"))["generation"].clone();
    site.status_when("the replay is taken up", |status| status["generation"] == newer).await;
    let mut order = site.order(&user, &product).await;
    for _ in 0..ORDERS_BETWEEN {
        order = site.order(&user, &product).await;
    }
    let before = orders(&site, &user, &order.token).await;

    let told = done(site.projector(&["--rollback", "--json"]).await.expect("no panic"));
    assert_eq!((&told["generation"], &told["before"]), (&older, &newer));
    site.status_when("the older generation is taken up", |status| status["generation"] == older).await;
    assert_eq!(orders(&site, &user, "").await, before, "it has caught up before it is served");
    reader.goes_on(READS_AFTER).await;
    let order = site.order(&user, &product).await;
    assert_eq!(orders(&site, &user, &order.token).await, before + 1);

    // What was rolled back from is not gone back to, whatever is built afterwards.
    let newest = done(site.projector(&["--replay", "--json"]).await.expect("no panic"));
    assert_eq!(newest["retired"], json!([newer]), "{newest}");
    site.status_when("the second replay is taken up", |status| status["generation"] == newest["generation"])
        .await;
    let told = done(site.projector(&["--rollback", "--json"]).await.expect("no panic"));
    assert_eq!((&told["generation"], &told["before"]), (&older, &newest["generation"]));
    site.status_when("the older generation is taken up again", |status| status["generation"] == older).await;
    reader.goes_on(READS_AFTER).await;
    reader.stop().await;
}

async fn two_replays(broker: TestBroker) {
    let (site, user, product) = ordered(broker).await;
    // At this pace it would take minutes.
    let mut first = Process::start("projector", &site.projector_flags(&["--replay", "--rate", "1"]));
    let name = format!("projector, pid {}", first.pid());
    let seen = site
        .status_when("the first replay is seen", |status| {
            status["rebuild"]["by"] == *name && !status["rebuild"]["phase"].is_null()
        })
        .await;
    // With the claims that the three services began with.
    let total = ORDERS_BEFORE as u64 + 2 + 3 * PARTITIONS.unsigned_abs() as u64;
    let rebuild = &seen["rebuild"];
    assert_eq!((&rebuild["phase"], &rebuild["total"]), (&json!("reading"), &json!(total)), "{rebuild}");
    assert_ne!(rebuild["generation"], seen["generation"], "{rebuild}");
    let metrics = metrics(&site).await;
    assert!(metrics.contains(&format!("daybook_rebuild_total_records {total}\n")), "{metrics}");

    let second = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!((second.code, second.stdout.as_str()), (Some(3), ""), "{}", second.stderr);
    assert!(second.stderr.contains(&name), "{}", second.stderr);
    let order = site.order(&user, &product).await;
    assert_eq!(orders(&site, &user, &order.token).await, ORDERS_BEFORE as u64 + 1, "D goes on meanwhile");

    done(site.projector(&["--rate", "0", "--json"]).await.expect("no panic"));
    assert_eq!(first.ended().code(), Some(0));
    let new = rebuild["generation"].clone();
    let done = |status: &Value| status["generation"] == new && status["rebuild"].is_null();
    site.status_when("what the first replay has built is served", done).await;
    assert_eq!(orders(&site, &user, "").await, ORDERS_BEFORE as u64 + 1);
}

/// All four services, and a user with orders of one product that D has seen.
async fn ordered(broker: TestBroker) -> (Site, Made, Made) {
    let site = Site::start(broker).await;
    let user = site.sign_up("jill@example.com").await;
    let product = site.product("pants").await;
    let mut token = String::new();
    for _ in 0..ORDERS_BEFORE {
        token = site.order(&user, &product).await.token;
    }
    site.ordered_products(&user, &token).await;
    (site, user, product)
}

/// What it said on stdout, which must be JSON, after it has done what was asked.
#[track_caller]
fn done(finished: Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{} {}", finished.stdout, finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

async fn orders(site: &Site, user: &Made, after: &str) -> u64 {
    let answer = site.ordered_products(user, after).await;
    answer.body["products"][0]["orders"].as_u64().expect("a number")
}

async fn metrics(site: &Site) -> String {
    let answer = site.client.get(&format!("{}/metrics", site.urls.query)).send_ok().await;
    answer.expect("D has metrics").body.as_str().expect("text").to_owned()
}
