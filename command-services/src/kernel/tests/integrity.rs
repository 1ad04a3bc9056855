//! A store that is not what it must be is not gone on with.

use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use super::store::damage;
use super::toy::{Toy, Toys, router};
use crate::kernel::group::GroupError;
use crate::kernel::integrity::{self, IntegrityError};
use crate::kernel::keys;
use crate::kernel::outbox::OutboxRow;
use crate::kernel::recorded::recorded;
use crate::kernel::rows::{Counter, Versioned};
use crate::kernel::store::{Store, Value, Writes};
use crate::testing::{Call, PARTITIONS, TestService, broker};

const TOYS: usize = 400;
const DEADLINE: Duration = Duration::from_secs(60);

async fn make(toys: &TestService<Toys>, name: &str) -> String {
    let made = Call::post("/toys", &json!({"name": name})).send(&toys.router).await;
    made.is(201).text("toy_id")
}

/// Changes the store of a service that does not run.
fn change(toys: &TestService<Toys>, change: impl FnOnce(&Store) -> Writes) {
    let store = Store::open(&toys.settings.data_dir.join("store/index"), 1 << 20).unwrap();
    store.apply(change(&store)).unwrap();
    store.close().unwrap();
}

/// The outbox rows of the partition that has most.
fn outbox(store: &Store) -> (i32, Vec<(u64, OutboxRow)>) {
    let rows = |partition| {
        let rows = store.scan(&keys::outbox_span(partition, 0, u64::MAX), usize::MAX).unwrap();
        let row = |(key, row): &(Value, Value)| {
            (keys::outbox_position(key).unwrap(), OutboxRow::decode(row).unwrap())
        };
        (partition, rows.iter().map(row).collect::<Vec<_>>())
    };
    (0..3).map(rows).max_by_key(|(_, rows)| rows.len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_is_not_whole_is_refused_by_name_at_the_start() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    for number in 0..20 {
        make(&toys, &format!("toy {number}")).await;
    }
    toys.relayed();
    toys.stop();
    type Damage = fn(&Store) -> (Writes, Writes, String);
    let damages: [(_, Damage); 5] = [
        ("a row in the middle", |store| {
            let (partition, rows) = outbox(store);
            remove(partition, &rows[2], format!("no event at position 2 of partition {partition}"))
        }),
        ("the first row", |store| {
            let (partition, rows) = outbox(store);
            let next = recorded(store, partition).unwrap().counter.next;
            let (mut forward, mut back, _) = remove(partition, &rows[0], String::new());
            // Not all of it was sent.
            forward.push((keys::sent(partition), Some(0_u64.to_be_bytes().to_vec())));
            back.push((keys::sent(partition), Some(next.to_be_bytes().to_vec())));
            (forward, back, format!("no event at position 0 of partition {partition}"))
        }),
        ("the last row", |store| {
            let (partition, rows) = outbox(store);
            let last = rows.last().unwrap();
            remove(partition, last, format!("no event at position {} of partition {partition}", last.0))
        }),
        ("the counter", |store| {
            let (partition, rows) = outbox(store);
            let Counter { next, last_id } = recorded(store, partition).unwrap().counter;
            let counter = |next| (keys::counter(partition), Some(Counter { next, last_id }.encode()));
            let said = format!("a row at position {} of partition {partition}", rows.last().unwrap().0);
            (vec![counter(next - 1)], vec![counter(next)], said)
        }),
        ("the counter's id", |store| {
            let (partition, _) = outbox(store);
            let Counter { next, last_id } = recorded(store, partition).unwrap().counter;
            let counter = |last_id| (keys::counter(partition), Some(Counter { next, last_id }.encode()));
            let other = Uuid::from_u128(77);
            let said = format!("{} in its outbox and {other} by its counter", last_id.unwrap());
            (vec![counter(Some(other))], vec![counter(last_id)], said)
        }),
    ];
    for (what, damage) in damages {
        let (mut back, mut said) = (Writes::new(), String::new());
        change(&toys, |store| {
            let (forward, restored, expected) = damage(store);
            (back, said) = (restored, expected);
            forward
        });
        let refused = toys.restart(|_| {}).unwrap_err();
        assert_eq!(refused.exit_code(), 1);
        let refused = refused.to_string();
        assert!(refused.contains(&said) && refused.contains("--recover"), "{what}: {said}: {refused}");
        change(&toys, |_| back);
    }
    toys.restart(|_| {}).unwrap();
    toys.stop();
    change(&toys, without_the_last_row);
    toys.restart(|settings| settings.recover = true).unwrap();
    make(&toys, "after").await;
    toys.relayed();
}

fn remove(partition: i32, row: &(u64, OutboxRow), said: String) -> (Writes, Writes, String) {
    let (first, row) = row;
    let key = keys::outbox(partition, *first);
    let value = OutboxRow::encode(row.committed_ms, &row.events);
    (vec![(key.clone(), None)], vec![(key, Some(value))], said)
}

fn without_the_last_row(store: &Store) -> Writes {
    let (partition, rows) = outbox(store);
    vec![(keys::outbox(partition, rows.last().unwrap().0), None)]
}

/// The row of a name that is given up is not read before: its page would be met in the middle of the write.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_tears_no_group() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    let mut ids = Vec::new();
    for number in 0..TOYS {
        ids.push(make(&toys, &format!("toy {number:04}")).await);
    }
    toys.relayed();
    toys.stop();
    let store = toys.settings.data_dir.join("store/index");
    let lost = Uuid::parse_str(&ids[TOYS / 2]).unwrap();
    // The value of the unique key's row is the id; keys have less of it, and JSON has it as text.
    damage(&store, lost.as_bytes());
    toys.restart(|_| {}).unwrap();
    let mut accepted = 0;
    for number in 0..20 {
        let lose = Call::delete(format!("/toys/{lost}")).send(&toys.router).await;
        lose.is_problem(503, "store-fails");
        // sled's cleaner may meet the page as well; then nothing is accepted any more.
        let other = json!({"name": format!("other {number}")});
        accepted += u64::from(Call::post("/toys", &other).send(&toys.router).await.status == 201);
    }
    // The store may be failing still, so that it cannot be closed in order.
    drop(toys.ended());
    let store = Store::open(&store, 1 << 20).unwrap();
    integrity::check(&store, PARTITIONS).unwrap();
    let toy = store.get(&keys::aggregate(lost)).unwrap().unwrap();
    assert_eq!(Versioned::<Toy>::decode(&toy).unwrap().version, 1);
    let events = (0..PARTITIONS).map(|partition| recorded(&store, partition).unwrap().counter.next);
    assert_eq!(events.sum::<u64>(), TOYS as u64 + accepted);
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

#[test]
fn a_failing_disk_may_be_well_again_and_a_damaged_row_may_not() {
    let damaged = IntegrityError::from(crate::kernel::fields::Damaged { what: "outbox row" });
    assert!(!damaged.may_pass());
    let closed = IntegrityError::Store(GroupError::Store(crate::kernel::store::StoreError::Closed));
    assert!(closed.may_pass());
}
