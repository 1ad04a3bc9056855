//! What the relay may send, and what counts as acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::Written;
use crate::outbox::positions::{Failure, Positions, Wait};

const SOON: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

fn wait<'a>(sent: &'a [u64], in_flight_max: u64, timeout: Duration) -> Wait<'a> {
    Wait { sent, in_flight_max, timeout }
}

#[test]
fn acknowledgements_count_in_order_only() {
    let positions = Positions::new(vec![5, 5], vec![0, 2]);
    let session = positions.begin_session();
    assert!(positions.delivered(session, 0, 0, 0) && positions.delivered(session, 1, 2, 0));
    assert_eq!((positions.snapshot().acknowledged, positions.unsent()), (vec![1, 3], 6));
    assert!(!positions.delivered(session, 0, 2, 0), "position 1 has not been acknowledged");
    let snapshot = positions.snapshot();
    assert_eq!(snapshot.acknowledged, [1, 3]);
    let failure = snapshot.failed.unwrap();
    assert!(failure.partition == Some(0) && failure.reason.contains("out of order"), "{failure:?}");
}

#[test]
fn an_earlier_writers_deliveries_no_longer_count() {
    let positions = Positions::new(vec![5], vec![0]);
    let first = positions.begin_session();
    let second = positions.begin_session();
    assert!(!positions.delivered(first, 0, 0, 0));
    let failure = |reason: &str| Failure { partition: None, reason: reason.to_owned() };
    positions.delivery_failed(first, failure("late"));
    let snapshot = positions.snapshot();
    assert!(snapshot.failed.is_none() && snapshot.acknowledged == [0]);
    positions.delivery_failed(second, failure("now"));
    assert_eq!(positions.snapshot().failed, Some(failure("now")));
    positions.begin_session();
    assert_eq!(positions.snapshot().failed, None);
}

#[test]
fn the_relay_is_woken_by_a_commit() {
    let positions = Arc::new(Positions::new(vec![0], vec![0]));
    let committer = Arc::clone(&positions);
    let thread = std::thread::spawn(move || committer.set_durable(vec![3]));
    assert_eq!(positions.wait(wait(&[0], 10, LONG)).durable, [3]);
    thread.join().unwrap();
}

#[test]
fn a_full_relay_waits_for_deliveries_and_sees_them() {
    let positions = Arc::new(Positions::new(vec![100], vec![0]));
    let session = positions.begin_session();
    assert_eq!(positions.wait(wait(&[10], 10, SOON)).acknowledged, [0], "nothing came");
    let deliveries = Arc::clone(&positions);
    let thread = std::thread::spawn(move || {
        for position in 0..10 {
            assert!(deliveries.delivered(session, 0, position, 0));
        }
    });
    assert!(positions.wait(wait(&[10], 10, LONG)).acknowledged[0] >= 5);
    thread.join().unwrap();
}

#[test]
fn a_stopping_relay_waits_for_the_last_delivery_or_its_deadline() {
    let positions = Arc::new(Positions::new(vec![2], vec![0]));
    let session = positions.begin_session();
    positions.stop(Instant::now() + LONG);
    let deliveries = Arc::clone(&positions);
    let thread = std::thread::spawn(move || {
        assert!(deliveries.delivered(session, 0, 0, 0) && deliveries.delivered(session, 0, 1, 0));
    });
    assert_eq!(positions.wait(wait(&[2], 10, LONG)).acknowledged, [2]);
    thread.join().unwrap();
    positions.set_durable(vec![3]);
    positions.stop(Instant::now());
    assert_eq!(positions.wait(wait(&[3], 10, LONG)).acknowledged, [2], "the deadline ends the wait");
}

#[tokio::test]
async fn whoever_waits_for_kafka_is_woken_when_all_is_there() {
    let positions = Arc::new(Positions::new(vec![5, 5], vec![0, 0]));
    let session = positions.begin_session();
    let written = [Written { partition: 0, position: 1 }, Written { partition: 1, position: 0 }];
    let waiting = Arc::clone(&positions);
    let waiter = tokio::spawn(async move { waiting.acknowledged(&written).await });
    assert!(positions.delivered(session, 0, 0, 0) && positions.delivered(session, 0, 1, 0));
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    assert!(positions.delivered(session, 1, 0, 0));
    tokio::time::timeout(LONG, waiter).await.unwrap().unwrap();
}

#[test]
fn a_halted_partition_wakes_nobody_and_keeps_no_stop_waiting() {
    let positions = Positions::new(vec![5, 3], vec![2, 3]);
    positions.halt(0, "a hole".to_owned());
    assert_eq!(positions.wait(wait(&[2, 3], 10, SOON)).acknowledged, [2, 3], "there is nothing to send");
    positions.stop(Instant::now() + LONG);
    assert!(positions.wait(wait(&[2, 3], 10, LONG)).is_drained);
    assert_eq!((positions.unsent(), positions.halted().as_deref()), (3, Some("a hole")));
}
