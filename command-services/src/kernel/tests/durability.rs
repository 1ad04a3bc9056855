//! What was applied and is not synced yet must not be shown.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::kernel::durability::Durability;

/// Whether a future is done already.
fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_read_waits_for_the_batch_that_it_may_have_seen() {
    let durability = Durability::new();
    assert_eq!(poll(durability.visible_is_durable()), Poll::Ready(Ok(())));
    let batch = durability.begin();
    assert_eq!(poll(durability.visible_is_durable()), Poll::Pending);
    durability.reached(batch);
    assert_eq!(poll(durability.visible_is_durable()), Poll::Ready(Ok(())));
}

#[test]
fn a_read_of_what_could_not_be_synced_fails() {
    let durability = Durability::new();
    durability.begin();
    durability.failed("no space".to_owned());
    assert_eq!(poll(durability.visible_is_durable()), Poll::Ready(Err("no space".to_owned())));
    assert_eq!(durability.failure(), Some("no space".to_owned()));
    durability.well_again();
    assert_eq!(poll(durability.visible_is_durable()), Poll::Ready(Ok(())));
    assert_eq!(durability.failure(), None);
}
