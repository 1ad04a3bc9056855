//! What lasts is told by `/health/ready` and by `/metrics` alike.

use std::collections::BTreeMap;

use super::toy::{Toys, router};
use crate::testing::{Call, PARTITIONS, TestService, broker, figure};

/// What readiness says, and which reasons are counted.
async fn told(toys: &TestService<Toys>) -> (String, Vec<&'static str>) {
    let ready = Call::get("/health/ready").send(&toys.router).await;
    let said = if ready.status == 200 { String::new() } else { ready.text("detail") };
    assert_eq!(figure(&toys.router, "ready").await, u64::from(said.is_empty()), "{said}");
    let mut counted = Vec::new();
    for reason in [
        "starting",
        "store-fails",
        "no-room",
        "disk-hangs",
        "relay-halted",
        "not-compared",
        "following-stopped",
        "catching-up",
    ] {
        let stands = figure(&toys.router, &format!("not_ready{{reason=\"{reason}\"}}")).await;
        counted.extend((stands == 1).then_some(reason));
    }
    (said, counted)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_that_stands_is_told_in_words_and_as_a_figure() {
    let broker = broker();
    let toys = TestService::<Toys>::start(broker.kafka(""), router);
    assert_eq!(told(&toys).await, (String::new(), Vec::new()));
    let (health, positions) = (&toys.service().health, &toys.service().positions);
    health.no_room("full to the brim".to_owned());
    assert_eq!(told(&toys).await, ("the store fails: full to the brim".to_owned(), vec!["no-room"]));
    health.failed("a torn page".to_owned());
    positions.halt(1, "a hole".to_owned());
    positions.set_diverged(&(0..PARTITIONS as usize).map(|partition| (partition, 7)).collect());
    let (said, counted) = told(&toys).await;
    assert_eq!(counted, ["store-fails", "no-room", "relay-halted", "not-compared"]);
    for part in ["a torn page", "full to the brim", "a hole", "no partition of the service's topic"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let away = "shut_partitions{reason=\"partition-away\"}";
    assert_eq!(figure(&toys.router, away).await, PARTITIONS as u64);
    health.recovered();
    positions.set_acknowledged(&[Some(0); PARTITIONS as usize]);
    positions.set_diverged(&BTreeMap::new());
    assert_eq!(told(&toys).await, ("a hole".to_owned(), vec!["relay-halted"]));
    assert_eq!(figure(&toys.router, away).await, 0);
}
