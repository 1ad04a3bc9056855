//! What C has followed, when its store fails, and what of it is on disk.

use tempfile::TempDir;

use crate::testing::{Shop, eventually, fail_and_come_back_as, order, synced_copy};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_followed_last_is_followed_again_when_the_store_has_lost_it() {
    let (shop, copy) = (Shop::start(), TempDir::new().unwrap());
    let (user_id, product_id, after) = shop.user_and_product("ada@example.org").await;
    order(&user_id, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    synced_copy(&shop.orders, copy.path());
    let mut later = Vec::new();
    for number in 0..20 {
        let (user_id, _, after) = shop.user_and_product(&format!("{number}@example.org")).await;
        let known = order(&user_id, &product_id).header("daybook-after", &after);
        later.push((user_id, known));
    }
    let followed = || shop.orders.service().metrics.followed_events.get();
    eventually("all to be followed", || (followed() == 42).then_some(()));
    fail_and_come_back_as(&shop.orders, copy.path());
    let met = order(&user_id, &product_id).send(&shop.orders.router).await;
    met.is_problem(503, "store-fails");
    for (user_id, known) in later {
        // Never "unknown", whether it has been followed again by now or not.
        eventually_accepted(&shop, &user_id, &product_id).await;
        known.send(&shop.orders.router).await.is(201);
    }
    assert_eq!(shop.orders.service().not_ready(), None);
    assert_eq!(shop.orders.rows(b'R').len(), 42);
}

async fn eventually_accepted(shop: &Shop, user_id: &str, product_id: &str) {
    loop {
        let reply = order(user_id, product_id).send(&shop.orders.router).await;
        if reply.status == 201 {
            return;
        }
        assert_eq!(reply.status, 503, "{reply:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_is_synced_although_nobody_orders() {
    let shop = Shop::start();
    for number in 0..3 {
        let syncs = || shop.orders.service().metrics.store_syncs.get();
        let before = syncs();
        shop.user_and_product(&format!("{number}@example.org")).await;
        eventually("a sync", || (syncs() > before).then_some(()));
    }
}
