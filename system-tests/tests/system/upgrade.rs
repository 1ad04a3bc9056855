//! From a D of one layout to a D of the next: the new one builds beside the old one, which goes on answering.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use system_tests::broker::TestBroker;
use system_tests::process::Process;
use system_tests::reader::Reader;
use system_tests::site::{Made, QUERY_API, READ_MODEL, Site};
use system_tests::wait;

super::on_both_brokers!(a_new_layout_is_built_beside_the_old_one, upgrade);
super::on_both_brokers!(a_new_layout_is_built_by_one_that_starts_alone, upgrade_offline);

/// D before products had prices.
const BEFORE: &str = "query-api-before";
/// Orders before the upgrade, so that there is something to build.
const ORDERS_BEFORE: usize = 100;
/// Answers of the old D that are waited for after the new one is ready.
const READS_AFTER: u64 = 200;

async fn upgrade(broker: TestBroker) {
    let (mut site, user, product) = ordered_before(broker).await;
    let before = site.status().await["generation"].clone();
    let reader = Reader::start(&site.client, site.ordered_products_url(&user), 0);
    let (new, url, last) = start_while_orders_arrive(&site, &user, &product).await;
    let old = site.query.replace(new).expect("the old one runs");
    let old_url = std::mem::replace(&mut site.urls.query, url);

    // The new one has all of it, with prices.
    let status = site.status().await;
    assert_ne!(status["generation"], before);
    assert_eq!((&status["state"], &status["refused"]), (&json!("following"), &Value::Null));
    assert_eq!(price(&site, &site.urls.query, &product, &last.token).await, 4_900);
    assert_eq!(orders(&site, &user, &last.token).await, orders_of(&site, &old_url, &user, &last.token).await);

    // The old one goes on with its own, and says why it has not taken up the new one.
    reader.goes_on(READS_AFTER).await;
    let next = site.order(&user, &product).await;
    assert_eq!(price(&site, &old_url, &product, &next.token).await, Value::Null);
    let status = site.client.get(&format!("{old_url}/status")).send_ok().await.expect("a status").body;
    assert_eq!(status["generation"], before);
    assert!(status["refused"].as_str().is_some_and(|why| why.contains("layout")), "{status}");

    // Whoever goes over to the new one sees nothing older.
    assert!(orders(&site, &user, &next.token).await >= reader.orders());
    let reader_of_new = Reader::start(&site.client, site.ordered_products_url(&user), reader.orders());
    reader.stop().await;
    assert_eq!(old.terminate().code(), Some(0));
    owns_the_read_model(&site).await;
    reader_of_new.goes_on(READS_AFTER).await;
    reader_of_new.stop().await;
}

async fn upgrade_offline(broker: TestBroker) {
    let (mut site, user, product) = ordered_before(broker).await;
    let before = site.status().await["generation"].clone();
    assert_eq!(site.query.take().expect("it runs").terminate().code(), Some(0));
    let last = site.order(&user, &product).await;

    site.start_query().await;
    let log = site.query.as_ref().expect("it runs").log();
    let told = format!("{} is published but not served", before.as_str().expect("a name"));
    assert!(log.lines().any(|line| line.contains(&told) && line.contains("layout")), "{log}");
    assert_ne!(site.status().await["generation"], before);
    assert_eq!(price(&site, &site.urls.query, &product, &last.token).await, 4_900);
    assert_eq!(orders(&site, &user, &last.token).await, ORDERS_BEFORE as u64 + 1);
    owns_the_read_model(&site).await;
}

/// A, B, C and the old D, and a user who has ordered a product with a price, of which the old D knows nothing.
async fn ordered_before(broker: TestBroker) -> (Site, Made, Made) {
    let site = Site::start_with(broker, BEFORE).await;
    let user = site.sign_up("jill@example.com").await;
    let product = site.product("pants").await;
    let mut token = product.token.clone();
    for _ in 0..ORDERS_BEFORE {
        token = site.order(&user, &product).await.token;
    }
    let after = format!("{},{token}", product.token);
    assert_eq!(price(&site, &site.urls.query, &product, &after).await, Value::Null);
    (site, user, product)
}

/// Starts the new D on the old one's directory, until it is ready; the last of the orders made meanwhile.
async fn start_while_orders_arrive(site: &Site, user: &Made, product: &Made) -> (Process, String, Made) {
    let ready = AtomicBool::new(false);
    let start = async {
        let (new, url) = site.service(QUERY_API, READ_MODEL).await;
        ready.store(true, Ordering::Relaxed);
        (new.expect("it runs"), url)
    };
    let order = async {
        loop {
            let last = site.order(user, product).await;
            if ready.load(Ordering::Relaxed) {
                return last;
            }
        }
    };
    let ((new, url), last) = tokio::join!(start, order);
    (new, url, last)
}

/// The one D that still runs looks after the directory: others can ask it, and what it serves is what the log says.
async fn owns_the_read_model(site: &Site) {
    let socket = site.data(READ_MODEL).join("ADMIN");
    wait::until("the new D answers at its socket", || UnixStream::connect(&socket).ok());
    let verified = site.projector(&["--verify", "--json"]).await.expect("no panic");
    assert_eq!(verified.code, Some(0), "{} {}", verified.stdout, verified.stderr);
    let report: Value = serde_json::from_str(&verified.stdout).expect("JSON");
    assert_eq!(report["generation"], site.status().await["generation"]);
}

async fn price(site: &Site, url: &str, product: &Made, after: &str) -> Value {
    let url = format!("{url}/products/{}", product.id);
    let answer = site.client.get(&url).after(after).send_ok().await.expect("the product");
    answer.body["price_cents"].clone()
}

async fn orders(site: &Site, user: &Made, after: &str) -> u64 {
    orders_of(site, &site.urls.query, user, after).await
}

async fn orders_of(site: &Site, url: &str, user: &Made, after: &str) -> u64 {
    let url = format!("{url}/users/{}/products", user.id);
    let answer = site.client.get(&url).after(after).send_ok().await.expect("the orders");
    answer.body["products"][0]["orders"].as_u64().expect("a number")
}
