//! A replay while commands arrive and reads go on: no read fails, none goes back.

use std::collections::BTreeSet;

use system_tests::broker::TestBroker;
use system_tests::reader::Reader;
use system_tests::site::Site;

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
    let reader = Reader::start(&site.client, site.ordered_products_url(&user), 0);
    let mut generations = BTreeSet::new();
    for _ in 0..REPLAYS {
        let before = site.status().await["generation"].clone();
        let replay = site.projector(&["--replay"]);
        while !replay.is_finished() {
            let order = site.order(&user, &product).await;
            site.ordered_products(&user, &order.token).await;
        }
        let finished = replay.await.expect("no panic");
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        site.status_when("the new generation is taken up", |status| status["generation"] != before).await;
        generations.insert(before.to_string());
    }
    assert_eq!(generations.len(), REPLAYS, "each replay made a generation of its own");
    reader.stop().await;
}
