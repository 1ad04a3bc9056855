//! What C has followed, when its store fails, and what of it is on disk.
//! Of the kernel, and with the shop, whose C has followed rows besides its own.

use tempfile::TempDir;
use uuid::Uuid;

use super::quarantine::Unknown;
use crate::testing::{Shop, eventually, fail_and_come_back_as, order, synced_copy, write_raw};
use daybook_command::testing::{add_behind, flip};

/// Events that wait: pages full of them.
const WAITING: usize = 200;

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
    let followed = || shop.orders.followed_events();
    eventually("all to be followed", || (followed() == 42).then_some(()));
    fail_and_come_back_as(&shop.orders, copy.path());
    let met = order(&user_id, &product_id).send(&shop.orders.router).await;
    met.is_problem(503, "store-fails");
    for (user_id, known) in later {
        // Never "unknown", whether it has been followed again by now or not.
        eventually_accepted(&shop, &user_id, &product_id).await;
        known.send(&shop.orders.router).await.is(201);
    }
    assert_eq!(shop.orders.not_ready(), None);
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
        let syncs = || shop.orders.store_syncs();
        let before = syncs();
        shop.user_and_product(&format!("{number}@example.org")).await;
        eventually("a sync", || (syncs() > before).then_some(()));
    }
}

/// No command reads what waits, so nobody but the follower meets the damage.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_which_the_follower_cannot_read_a_page_is_put_aside_and_built_again() {
    let mut shop = Shop::start();
    let (parked, product_id, _) = shop.user_and_product("parked@example.org").await;
    let (other, _, after) = shop.user_and_product("other@example.org").await;
    order(&other, &product_id).header("daybook-after", &after).send(&shop.orders.router).await.is(201);
    shop.users.relayed();
    shop.users.stop();
    let mut unknown = Unknown::behind(&shop, &parked);
    let (mut events, mut ids) = (Vec::new(), Vec::<Uuid>::new());
    for _ in 0..WAITING {
        events.push(unknown.event.to_string());
        ids.push(unknown.id().parse().unwrap());
        unknown.next();
    }
    let records: Vec<_> = events.iter().map(|event| (unknown.partition, event.as_bytes())).collect();
    write_raw(&shop.broker.kafka(""), "users.events", &records);
    let waiting = |shop: &Shop| shop.orders.quarantined_events();
    eventually("all to wait", || (waiting(&shop) == WAITING as u64).then_some(()));
    let before = [b'R', b'F', b'Q', b'W'].map(|kind| shop.orders.rows(kind));
    shop.orders.stop();

    let index = shop.orders.settings.data_dir.join("store/index");
    add_behind(&index);
    shop.orders.restart(|settings| settings.limits.cache_bytes_max = 1 << 20).unwrap();
    // It has read them.
    eventually("orders to be ready", || shop.orders.not_ready().is_none().then_some(()));
    shop.orders.read_behind();
    flip(&index, ids[WAITING / 2].as_bytes());
    // It reads what waits once more.
    shop.orders.follow_again();
    let faults = shop.orders.faults();
    eventually("the process to end by itself", || faults.requested().then_some(()));
    let ended = shop.orders.ended().unwrap_err().to_string();
    assert!(ended.contains("put aside as") && ended.contains("loses nothing"), "{ended}");

    shop.orders.restart(|_| {}).unwrap();
    eventually("orders to be ready", || shop.orders.not_ready().is_none().then_some(()));
    assert_eq!([b'R', b'F', b'Q', b'W'].map(|kind| shop.orders.rows(kind)), before);
    order(&other, &product_id).send(&shop.orders.router).await.is(201);
    order(&parked, &product_id).send(&shop.orders.router).await.is_problem(503, "quarantined");
}
