//! What C decides while it cannot hear all that A and B say.
//! Of the kernel, and with the shop: a decision of C rests on two services at once.

use daybook_kafka::partition_for_key;
use serde_json::json;

use crate::orders::Orders;
use crate::testing::orders_router as router;
use crate::testing::{Call, PARTITIONS, Shop, TestService, broker, eventually, figure, order};

const USERS: &str = "users.events";
const NOBODY: &str = "018f8e3e-0000-7000-8000-000000000000";

fn ready(orders: &TestService<Orders>) {
    eventually("orders to be ready", || orders.not_ready().is_none().then_some(()));
}

/// A user in each partition of the users' topic.
async fn users_everywhere(users: &TestService<crate::users::Users>) -> [String; PARTITIONS as usize] {
    let mut found = [const { String::new() }; PARTITIONS as usize];
    for number in 0..100 {
        let user = json!({"email": format!("{number}@example.org"), "name": "Ada", "address": "1 Row"});
        let id = Call::post("/users", &user).send(&users.router).await.is(201).text("user_id");
        let partition = partition_for_key(id.as_bytes(), PARTITIONS) as usize;
        found[partition] = id;
        if found.iter().all(|id| !id.is_empty()) {
            break;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_without_a_leader_keeps_those_only_that_lie_in_it() {
    let broker = broker();
    let mut users = TestService::start(broker.kafka(""), crate::testing::users_router);
    let known = users_everywhere(&users).await;
    users.relayed();
    users.stop();
    let products = TestService::start(broker.kafka(""), crate::testing::products_router);
    let product = json!({"title": "pants", "image": "pants.jpg"});
    let product = Call::post("/products", &product).send(&products.router).await.is(201).text("product_id");
    products.relayed();

    broker.set_leader(USERS, 0, None).unwrap();
    let orders = TestService::<Orders>::start(broker.kafka(""), router);
    ready(&orders);
    for user in &known[1..] {
        order(user, &product).send(&orders.router).await.is(201);
    }
    let refused = order(&known[0], &product).send(&orders.router).await;
    assert!(!refused.is_problem(503, "catching-up").text("detail").contains("has no leader"), "{refused:?}");
    let shown = Call::get("/health/ready").send(&orders.router).await.is(200).json();
    let trouble = shown["following"]["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("users.events partition 0 has no leader"), "{shown}");
    let figures =
        async || [figure(&orders.router, "ready").await, figure(&orders.router, "silent_partitions").await];
    assert_eq!(figures().await, [1, 1]);

    broker.set_leader(USERS, 0, Some(1)).unwrap();
    let followed = || orders.decides_on(0, known[0].parse().unwrap()).then_some(());
    eventually("the partition to be followed", followed);
    order(&known[0], &product).send(&orders.router).await.is(201);
    assert_eq!(orders.following_trouble(), None);
    assert_eq!(figures().await, [1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_broker_answers_nobody_is_called_unknown() {
    let shop = Shop::start();
    let (user, product, after) = shop.user_and_product("ada@example.org").await;
    order(&user, &product).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    ready(&shop.orders);
    order(NOBODY, &product).send(&shop.orders.router).await.is_problem(422, "buyer-unknown");
    shop.broker.broker_down(1).unwrap();
    eventually("the silence to be noticed", || shop.orders.following_trouble());
    order(&user, &product).send(&shop.orders.router).await.is(201);
    order(NOBODY, &product).send(&shop.orders.router).await.is_problem(503, "following-stopped");
    shop.broker.broker_up(1).unwrap();
    eventually("the broker to be heard again", || shop.orders.following_trouble().is_none().then_some(()));
    order(NOBODY, &product).send(&shop.orders.router).await.is_problem(422, "buyer-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_read_that_was_gone_for_a_moment_stops_nothing_for_good() {
    let shop = Shop::start();
    let (user, product, after) = shop.user_and_product("ada@example.org").await;
    order(&user, &product).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    ready(&shop.orders);
    shop.broker.refuse_reads(3).unwrap();
    let reason = eventually("the refusal to be noticed", || shop.orders.not_ready());
    assert!(reason.contains("may not be read"), "{reason}");
    ready(&shop.orders);
    let (user, product, after) = shop.user_and_product("bob@example.org").await;
    order(&user, &product).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
}
