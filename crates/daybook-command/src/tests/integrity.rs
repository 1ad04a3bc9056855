//! A store that is not what it must be is not gone on with.

use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use super::toy::{Toys, router};
use crate::testing::{Call, Log, TestService, add_behind, broker, eventually, flip, read_behind};

const TOYS: usize = 1_600;
const DEADLINE: Duration = Duration::from_secs(60);

async fn make(toys: &TestService<Toys>, name: &str) -> String {
    let made = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
    made.is(201).text("toy_id")
}

/// The row of a name that is given up is not read before: its page would be met in the middle of the write.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_tears_no_group() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let mut ids = Vec::new();
    for number in 0..TOYS {
        ids.push(make(&toys, &format!("toy {number:0200}")).await);
    }
    toys.relayed();
    toys.stop();
    let store = toys.settings.data_dir.join("store/index");
    add_behind(&store);
    toys.restart(|settings| settings.limits.cache_bytes_max = 1 << 20).unwrap();
    read_behind(&toys.service().store);
    let lost = Uuid::parse_str(&ids[TOYS / 8]).unwrap();
    // The value of the unique key's row is the id; keys have less of it, and JSON has it as text.
    flip(&store, lost.as_bytes());
    let (faults, mut accepted, mut is_lost) = (toys.faults(), 0, false);
    let deadline = Instant::now() + DEADLINE;
    let mut number = 0;
    while !faults.requested() && Instant::now() < deadline {
        number += 1;
        let lose = Call::delete(format!("/toys/{lost}")).send(&toys.router).await;
        // What the journal has is decided, although the index did not take it.
        assert!([503, 204].contains(&lose.status.as_u16()), "{lose:?}");
        is_lost |= lose.status == 204;
        // Met twice, the index is unusable, and nothing is accepted until it is built again.
        let other = json!({"name": format!("other {number}")});
        accepted += u64::from(Call::post("/toys", &other).send(&toys.router).await.status == 201);
    }
    eventually("the process to end by itself", || faults.requested().then_some(()));
    let ended = toys.ended().unwrap_err().to_string();
    assert!(ended.contains("put aside as"), "{ended}");
    toys.restart(|_| {}).unwrap();
    let shown = Call::get(format!("/toys/{lost}")).send(&toys.router).await;
    assert_eq!(shown.header("etag"), Some(if is_lost { "\"2\"" } else { "\"1\"" }));
    toys.relayed();
    let events = toys.service().positions.snapshot().durable.iter().sum::<u64>();
    assert_eq!(events, TOYS as u64 + accepted + u64::from(is_lost));
    assert_eq!(Log::read(&broker.kafka(""), "toys.events").events().len() as u64, events);
}

/// Others are refused only until the store has been opened afresh.
pub(super) async fn make_once_it_is_well(toys: &TestService<Toys>, name: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let made = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
        if made.status == 201 {
            return;
        }
        made.is_problem(503, "store-fails");
        assert!(Instant::now() < deadline, "{made:?}");
    }
}
