//! Commands in, answers out, each read after its own write.

use quickstart::client::Method;
use serde_json::json;
use system_tests::broker::TestBroker;
use system_tests::site::Site;

super::on_both_brokers!(commands_in_answers_out, tell);

async fn tell(broker: TestBroker) {
    let site = Site::start(broker).await;
    let user = site.sign_up("jill@example.com").await;
    let (pants, socks) = (site.product("pants").await, site.product("socks").await);
    let first = site.order(&user, &pants).await;
    let second = site.order(&user, &socks).await;

    let after = format!("{},{},{}", pants.token, socks.token, second.token);
    let answer = site.ordered_products(&user, &after).await;
    let shown: Vec<_> =
        answer.body["products"].as_array().expect("a list").iter().map(|shown| &shown["title"]).collect();
    assert_eq!(shown, [&json!("pants"), &json!("socks")]);
    assert_eq!(answer.body["products"][0]["image"], "pants.jpg");

    let url = format!("{}/orders/{}", site.urls.orders, first.id);
    let cancelled = site.client.request(Method::DELETE, &url).send_ok().await.expect("it is cancelled");
    let answer = site.ordered_products(&user, &cancelled.token.expect("a token")).await;
    assert_eq!(answer.body["products"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer.body["products"][0]["title"], "socks");

    for process in [site.users, site.products, site.orders, site.query].into_iter().flatten() {
        assert_eq!(process.terminate().code(), Some(0), "SIGTERM ends a service in order");
    }
}
