//! D needs nobody: not A, B and C, not even its own directory.

use system_tests::broker::TestBroker;
use system_tests::site::{Made, Site, remove};

super::on_both_brokers!(d_answers_when_all_others_are_gone, outlive);

async fn outlive(broker: TestBroker) {
    let mut site = Site::start(broker).await;
    let users = customers(&site).await;
    let before = answers(&site, &users).await;

    for service in [site.users.take(), site.products.take(), site.orders.take()] {
        service.expect("it runs").kill();
    }
    for service in ["users", "products", "orders"] {
        remove(&site.data(service));
    }
    assert_eq!(answers(&site, &users).await, before, "A, B and C are gone with their directories");

    site.query.take().expect("it runs").kill();
    site.start_query().await;
    assert_eq!(answers(&site, &users).await, before, "D was killed and started again");

    assert_eq!(site.query.take().expect("it runs").terminate().code(), Some(0));
    remove(&site.data("read-model"));
    site.start_query().await;
    assert_eq!(answers(&site, &users).await, before, "D's directory was removed and rebuilt from the log");
}

/// Some users with some orders each, some of them cancelled.
async fn customers(site: &Site) -> Vec<(Made, String)> {
    let products = [site.product("pants").await, site.product("socks").await, site.product("hat").await];
    let mut customers = Vec::new();
    for number in 0..4 {
        let user = site.sign_up(&format!("user-{number}@example.com")).await;
        let mut tokens = vec![user.token.clone()];
        for product in products.iter().cycle().skip(number).take(2 + number) {
            tokens.push(product.token.clone());
            tokens.push(site.order(&user, product).await.token);
        }
        customers.push((user, tokens.join(",")));
    }
    customers
}

async fn answers(site: &Site, users: &[(Made, String)]) -> Vec<serde_json::Value> {
    let mut answers = Vec::new();
    for (user, after) in users {
        answers.push(site.ordered_products(user, after).await.body);
    }
    answers
}
