//! Stored values: what is written is read back, and what is damaged is said.

use schemas::sequence::Reached;

use crate::kernel::outbox::{OutboxRow, ROW_BYTES_MAX, SealedEvent, rows};
use crate::kernel::rows::{Counter, decode_reached, encode_reached};

fn event(bytes: usize) -> SealedEvent {
    SealedEvent { key: "key".to_owned(), traceparent: String::new(), value: vec![b'x'; bytes] }
}

#[test]
fn events_are_cut_into_rows_of_bounded_size_without_losing_one() {
    let half = ROW_BYTES_MAX / 2;
    let cut = |sizes: &[usize]| rows(&sizes.iter().map(|size| event(*size)).collect::<Vec<_>>());
    assert!(cut(&[]).is_empty());
    assert_eq!(cut(&[1]).len(), 1);
    assert_eq!(cut(&[half, half, 1]), [0..2, 2..3]);
    assert_eq!(cut(&[half, half + 1, half - 1]), [0..1, 1..3]);
    assert_eq!(cut(&[ROW_BYTES_MAX + 1, 1, ROW_BYTES_MAX]), [0..1, 1..2, 2..3]);
}

#[test]
fn an_outbox_row_is_read_back_and_every_cut_is_noticed() {
    let traced = SealedEvent { traceparent: "00-1-2-3".to_owned(), ..event(3) };
    let events = vec![event(5), traced, event(0)];
    let value = OutboxRow::encode(1_234, &events);
    assert_eq!(OutboxRow::decode(&value), Ok(OutboxRow { committed_ms: 1_234, events }));
    let whole: Vec<_> = (0..value.len()).filter(|end| OutboxRow::decode(&value[..*end]).is_ok()).collect();
    // A row may end behind any of its events; which ones belong to it is for the positions to say.
    assert_eq!(whole.len(), 3, "{whole:?}");
}

#[test]
fn counters_and_checkpoints_are_read_back() {
    for last_id in [None, Some(uuid::Uuid::from_u128(5))] {
        let counter = Counter { next: 8, last_id };
        assert_eq!(Counter::decode(&counter.encode()), Ok(counter));
        let reached = Reached { offset: 17, epoch: 3, next_position: 8, last_id };
        let row = encode_reached(&reached);
        assert_eq!(decode_reached(&row), Ok(reached));
        let before = decode_reached(&row[..row.len() - 4]);
        assert_eq!(before, Ok(Reached { epoch: 0, ..reached }), "from before there were epochs");
    }
    assert!(Counter::decode(b"short").is_err() && decode_reached(b"short").is_err());
}
