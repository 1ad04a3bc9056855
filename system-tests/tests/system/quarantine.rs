//! A record that D cannot project, among good traffic: reads go on and say what is missing; a newer D releases what waits,
//! or somebody leaves the record out, for ever.

use daybook_kafka::{Outgoing, Writer, partition_for_key};
use quickstart::client::{Answer, Method};

use daybook_event::headers;
use serde_json::{Value, json};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::log;
use system_tests::process::Finished;
use system_tests::site::{Made, Site};
use system_tests::wait;

super::on_both_brokers!(a_newer_d_releases_what_an_older_one_parked, release);
super::on_both_brokers!(an_event_that_nobody_can_read_is_left_out_for_ever, leave_out);

/// D before products could be changed.
const OLDER: &str = "query-api-older";

async fn release(broker: TestBroker) {
    let mut site = Site::start_with(broker, OLDER).await;
    let user = site.sign_up("jill@example.com").await;
    let (pants, mug) = (site.product("pants").await, site.product("mug").await);
    site.order(&user, &pants).await;
    let changed = change(&site, &pants, "trousers").await;
    change(&site, &pants, "slacks").await;
    let order = site.order(&user, &mug).await;
    let status = site.status_when("two events wait", |status| status["quarantine_events"] == 2).await;
    assert_eq!((&status["state"], &status["quarantine"][0]["key"]), (&json!("following"), &json!(pants.id)));

    // Everything else goes on; what depends on the product says so, and a token of its change is not reached.
    let answer = site.ordered_products(&user, &order.token).await;
    assert_eq!(titles(&answer), ["pants", "mug"]);
    assert_eq!(answer.body["quarantined"], json!([pants.id]));
    let refused = site.client.get(&product_url(&site, &pants)).after(&changed).header(headers::WAIT_MS, "10");
    let refused = refused.send().await.expect("an answer");
    assert_eq!((refused.status, &refused.body["quarantined"]), (503, &json!([pants.id])), "{refused:?}");

    // Killed, it keeps what waits, and another one of its version cannot release it either.
    site.query.take().expect("it runs").kill();
    (site.query, site.urls.query) = site.service(OLDER, "read-model").await;
    let failed = site.projector(&["--release", &pants.id]).await.expect("no panic");
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("stays parked") && failed.stderr.contains("shop.product.changed"),
        "{}",
        failed.stderr
    );
    site.status_when("two events wait still", |status| status["quarantine_events"] == 2).await;

    // Beside the older one, what a newer one builds is not the same.
    let differs = site.projector(&["--replay"]).await.expect("no panic");
    assert_eq!(differs.code, Some(1), "{}", differs.stderr);
    assert!(differs.stderr.contains(&format!("{} wait in quarantine", pants.id)), "{}", differs.stderr);

    // The newer one takes what the older one has parked when it starts.
    assert_eq!(site.query.take().expect("it runs").terminate().code(), Some(0));
    site.start_query().await;
    assert_eq!(site.status().await["quarantine_events"], 0);
    let answer = site.ordered_products(&user, &changed).await;
    assert_eq!((titles(&answer), answer.body.get("quarantined")), (vec!["slacks", "mug"], None));
    assert_sound_and_replayed(&site).await;
}

async fn leave_out(broker: TestBroker) {
    let mut site = Site::start(broker).await;
    let user = site.sign_up("jill@example.com").await;
    let (pants, mug) = (site.product("pants").await, site.product("mug").await);
    site.order(&user, &pants).await;
    let order = site.order(&user, &mug).await;
    site.ordered_products(&user, &order.token).await;
    // Nobody else writes to the topic any more.
    assert_eq!(site.products.take().expect("it runs").terminate().code(), Some(0));
    let event = write_unknown(&site, &pants);
    let status = site.status_when("it waits", |status| status["quarantine_events"] == 1).await;
    assert_eq!(status["quarantine"][0]["event_id"], json!(event), "{status}");
    assert_eq!(site.ordered_products(&user, &order.token).await.body["quarantined"], json!([pants.id]));

    // It is parked by a replay as well, unless that is told to stop.
    let stopped = site.projector(&["--replay", "--stop-at-quarantine"]).await.expect("no panic");
    assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains(&event) && stopped.stderr.contains("products.events/"),
        "{}",
        stopped.stderr
    );
    let report = done(site.projector(&["--replay", "--json"]).await.expect("no panic"));
    assert_eq!(report["quarantine_events"], 1, "{report}");
    let generation = report["generation"].clone();
    site.status_when("the replay is taken up", |status| status["generation"] == generation).await;
    assert_eq!(site.status().await["quarantine_events"], 1);

    let skip = ["--skip-event", &event, "--why", "written by mistake", "--json"];
    let left_out = done(site.projector(&skip).await.expect("no panic"));
    assert_eq!(left_out, json!({ "projected": 0, "left_out": 1, "waiting": 0 }));
    let status = site.status_when("nothing waits", |status| status["quarantine_events"] == 0).await;
    assert_eq!(
        (&status["skipped_events"], &status["skipped"][0]["why"]),
        (&json!(1), &json!("written by mistake"))
    );
    assert_eq!(site.ordered_products(&user, &order.token).await.body.get("quarantined"), None);
    assert_sound_and_replayed(&site).await;
    // Also after a restart.
    site.query.take().expect("it runs").kill();
    site.start_query().await;
    let status = site.status().await;
    assert_eq!((&status["skipped_events"], &status["quarantine_events"]), (&json!(1), &json!(0)));
}

/// What is served is what the log says, and a replay gives the same again.
async fn assert_sound_and_replayed(site: &Site) {
    let report = done(site.projector(&["--verify", "--json"]).await.expect("no panic"));
    assert_eq!(report["digest_kept"], report["digest_rebuilt"], "{report}");
    assert_eq!(report["parked_differently"], json!([]), "{report}");
    let report = done(site.projector(&["--replay", "--json"]).await.expect("no panic"));
    assert!(report["compared"].as_str().is_some_and(|told| told.starts_with("the same as")), "{report}");
    let generation = report["generation"].clone();
    let taken_up = |status: &Value| status["generation"] == generation;
    let status = site.status_when("the replay is taken up", taken_up).await;
    assert_eq!(status["digest"], report["digest"]);
}

/// Writes an event of a type that nobody knows, as the products' service would; returns its id.
fn write_unknown(site: &Site, product: &Made) -> String {
    let kafka = site.broker.kafka();
    let partition = partition_for_key(product.id.as_bytes(), PARTITIONS);
    let records = log::records(kafka, schemas::products::TOPIC);
    let last = records[usize::try_from(partition).expect("a partition")].last().expect("its creation");
    let text = String::from_utf8(last.record.1.clone()).expect("text");
    let (position, id) = (|at: u64| format!("{at:020}"), uuid::Uuid::now_v7().to_string());
    let value = text
        .replace(&position(last.position), &position(last.position + 1))
        .replace(&last.id.to_string(), &id)
        .replace(&last.previous_id.expect("a link").to_string(), &last.id.to_string())
        .replace("shop.product.created", "shop.product.renamed");
    let writer = Writer::open(kafka, |delivery| assert!(delivery.result.is_ok())).expect("a writer");
    let (topic, key) = (schemas::products::TOPIC, product.id.as_bytes());
    let record = Outgoing { topic, partition, key, value: value.as_bytes(), headers: &[], tag: 0 };
    writer.send(record).expect("room for one record");
    writer.flush(wait::DEADLINE).expect("it is written");
    id
}

/// Changes a product's title; returns the token.
async fn change(site: &Site, product: &Made, title: &str) -> String {
    let url = format!("{}/products/{}", site.urls.products, product.id);
    let asked = site.client.request(Method::PATCH, &url).json(&json!({ "title": title }));
    asked.send_ok().await.expect("the change is accepted").token.expect("a token")
}

fn product_url(site: &Site, product: &Made) -> String {
    format!("{}/products/{}", site.urls.query, product.id)
}

fn titles(answer: &Answer) -> Vec<&str> {
    let products = answer.body["products"].as_array().expect("products");
    products.iter().map(|product| product["title"].as_str().expect("a title")).collect()
}

#[track_caller]
fn done(finished: Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{} {}", finished.stdout, finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}
