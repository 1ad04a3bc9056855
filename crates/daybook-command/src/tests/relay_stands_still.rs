//! A relay that cannot go on: what it claims and reads meanwhile, what it says, and what goes on without it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_journal::{Event, Group, Mark};
use serde_json::{Value, json};
use uuid::Uuid;

use super::start::make;
use super::toy::{Toys, router};
use crate::reconcile;
use crate::testing::{Call, Log, PARTITIONS, TestService, broker, eventually, figure, write_raw};

/// Attempts of the relay that are looked at.
const ATTEMPTS: u32 = 4;

/// What another store would write behind an event, with the epoch in force: the next position, an event of its own.
fn foreign_next(before: &[u8], epoch: u32) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(before).unwrap();
    let position: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
    event["sequence"] = json!(format!("{:020}", position + 1));
    event["previousid"] = event["id"].take();
    event["id"] = json!(Uuid::now_v7());
    event["writerepoch"] = json!(epoch);
    event.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_fit_is_not_claimed_and_read_once_while_the_others_go_on() {
    let broker = broker();
    let kafka = broker.kafka("");
    let mut toys = TestService::<Toys>::start(kafka.clone(), router);
    make(&toys, 60, "toy").await;
    toys.relayed();
    let log = Log::read(&kafka, "toys.events");
    // No mark is of use, as after a log that lost its end.
    toys.restart(|_| {}).unwrap();
    for (partition, end) in toys.service().positions.snapshot().acknowledged.iter().enumerate() {
        toys.service().journal.sent(partition, *end, Some(Mark::default()));
    }
    let service = Arc::clone(toys.service());
    let (positions, metrics) = (&service.positions, &service.metrics);
    let read = metrics.compared_records.get();
    write_raw(&kafka, "toys.events", &[(0, &foreign_next(&log.partitions[0].last().unwrap().1, 2))]);
    let epoch = || positions.snapshot().epoch;
    eventually("the others to be claimed", || (epoch() == 3).then_some(()));
    let trouble = positions.trouble().unwrap();
    assert!(trouble.contains("the store is older than the log"), "{trouble}");
    let refused = service.refuses().unwrap();
    assert!(refused.contains("partition 0") && refused.contains("older than the log"), "{refused}");
    assert_eq!(figure(&toys.router, "relay_halted_partitions").await, 1);
    assert_eq!(figure(&toys.router, "shut_partitions{reason=\"partition-away\"}").await, 1);
    for attempt in 1..=ATTEMPTS {
        positions.distrust_log(1, "an election".to_owned());
        eventually("another claim", || (epoch() == 3 + attempt).then_some(()));
    }
    paint_all(&toys, &log).await;
    toys.relayed();
    assert_eq!(metrics.relay_failures.get(), u64::from(1 + ATTEMPTS + 1), "what does not fit is told once");
    let records = 60 + 2 * PARTITIONS as u64 + 1;
    let read = metrics.compared_records.get() - read;
    toys.stop();
    let log = Log::read(&kafka, "toys.events");
    let all: Vec<_> = (1..=3 + ATTEMPTS).collect();
    assert_eq!(log.claims(), [vec![1, 2], all.clone(), all]);
    // What lies behind the last event, the claims, is read each time, and of the others by the claim once more.
    assert!(
        read <= records + 3 * (u64::from(ATTEMPTS) + 1) * PARTITIONS as u64,
        "{read} of {records} records read"
    );
}

/// What is in the partition that does not fit is refused, all else taken.
async fn paint_all(toys: &TestService<Toys>, log: &Log) {
    for (partition, records) in log.partitions.iter().enumerate() {
        let (id, _) = &records[0];
        let painted = Call::patch(format!("/toys/{id}"), &json!({"coats": 1})).send(&toys.router).await;
        match partition {
            0 => {
                assert!(painted.text("detail").contains("is not what is stored here"), "{painted:?}");
                painted.is_problem(503, "partition-away")
            }
            _ => painted.is(200),
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_fit_is_compared_again_once_it_has_changed() {
    let broker = broker();
    let kafka = broker.kafka("");
    let toys = TestService::<Toys>::start(kafka.clone(), router);
    make(&toys, 60, "toy").await;
    toys.relayed();
    let log = Log::read(&kafka, "toys.events");
    let mut last = log.partitions[0].last().unwrap().1.clone();
    for position in (log.partitions[0].len() as u64..).take(3) {
        last = foreign_next(&last, 1);
        write_raw(&kafka, "toys.events", &[(0, &last)]);
        eventually("it to be compared", || {
            toys.service()
                .refuses()
                .filter(|said| said.contains(&format!("events up to position {position},")))
        });
    }
    toys.relayed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovered_store_knows_where_the_log_is_its_own() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start(broker.kafka(""), router);
    make(&toys, 60, "toy").await;
    toys.relayed();
    toys.restart(|settings| settings.recover = true).unwrap();
    let journal = &toys.service().journal;
    let (marks, counters) = (reconcile::marks(journal), reconcile::counters(journal));
    for (mark, counter) in marks.iter().zip(&counters) {
        assert!(counter.next > 0);
        assert_eq!((mark.next_position, mark.last_id), (counter.next, counter.last_id));
    }
    // So a comparison reads what lies behind: the claim of the recovery, and the new one.
    let positions = &toys.service().positions;
    eventually("the first writer", || (positions.snapshot().epoch == 2).then_some(()));
    positions.distrust_log(0, "an election".to_owned());
    let metrics = &toys.service().metrics;
    let claims = || Log::read(&broker.kafka(""), "toys.events").claims();
    eventually("a new writer", || (claims() == vec![vec![1, 2, 3]; PARTITIONS as usize]).then_some(()));
    toys.relayed();
    let read = metrics.compared_records.get();
    assert!((1..=2 * PARTITIONS as u64).contains(&read), "{read} records read");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_sent_halts_its_partition_and_commands_and_no_other_partition() {
    let broker = broker();
    let mut toys = TestService::<Toys>::start_with(broker.kafka(""), router, |settings| {
        settings.limits.drain_timeout = Duration::ZERO;
    });
    make(&toys, 30, "toy").await;
    toys.relayed();
    let durable = toys.service().positions.snapshot().durable;
    let sample = toys.journaled()[0].clone();
    let next = |partition: i32, value: &[u8]| Event {
        partition,
        position: durable[partition as usize],
        value: value.to_vec(),
        ..sample.clone()
    };
    // Partition 0 gets what cannot be read later, 1 something that nobody sealed, 2 one more event.
    let (unreadable, unsealed) = (next(0, b"to be damaged"), next(1, b"{}"));
    let events = vec![unsealed, next(2, &sample.value)];
    toys.settings.kafka.options = vec![("linger.ms".to_owned(), "900000".to_owned())];
    toys.append(Group { events, ..Group::default() });
    toys.append(Group { events: vec![unreadable], ..Group::default() });
    toys.stop();
    flip(&toys.settings.data_dir.join("store/journal"), b"to be damaged");
    toys.restart(|settings| settings.kafka.options.clear()).unwrap();
    let service = toys.service();
    let acknowledged = || service.positions.snapshot().acknowledged[2];
    eventually("the last partition's event to be sent", || (acknowledged() > durable[2]).then_some(()));
    let unreadable = "partition 0: the journal cannot be read";
    let unsealed = format!("partition 1: the journal has at position {} what was not sealed", durable[1]);
    let ready = Call::get("/health/ready").send(&toys.router).await;
    let refused = Call::post("/toys", &json!({"name": "one more"})).send(&toys.router).await;
    ready.is_problem(503, "not-ready");
    refused.is_problem(503, "relay-halted");
    let said = ready.text("detail");
    assert!(said.contains(unreadable) && said.contains(&unsealed) && said.contains("--recover"), "{said}");
    assert_eq!(figure(&toys.router, "relay_halted_partitions").await, 2);
    toys.stop();
    let log = Log::read(&broker.kafka(""), "toys.events");
    assert_eq!(log.claims(), vec![vec![1, 2, 3, 4]; PARTITIONS as usize], "no writer was given up for it");
}

/// Flips a bit of every file of a directory that has these bytes, within them.
fn flip(dir: &Path, bytes: &[u8]) {
    let mut flipped = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut content = std::fs::read(&path).unwrap();
        let found: Vec<_> = content.windows(bytes.len()).enumerate().filter(|(_, at)| *at == bytes).collect();
        let found: Vec<_> = found.into_iter().map(|(at, _)| at).collect();
        found.iter().for_each(|at| content[*at] ^= 1);
        flipped += found.len();
        std::fs::write(&path, content).unwrap();
    }
    assert!(flipped > 0);
}
