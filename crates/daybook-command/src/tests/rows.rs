//! Stored values: what is written is read back, and what is damaged is said.

use daybook_event::sequence::Reached;

use crate::rows::{Counter, decode_reached, encode_reached};

#[test]
fn counters_and_checkpoints_are_read_back() {
    for last_id in [None, Some(uuid::Uuid::from_u128(5))] {
        let counter = Counter { next: 8, last_id };
        assert_eq!(Counter::decode(&counter.encode()), Ok(counter));
        let log_id = last_id.map(|_| uuid::Uuid::from_u128(6));
        let reached = Reached { offset: 17, epoch: 3, next_position: 8, last_id, log_id };
        let row = encode_reached(&reached);
        assert_eq!(decode_reached(&row), Ok(reached));
        let before = decode_reached(&row[..row.len() - 16]);
        assert_eq!(before, Ok(Reached { log_id: None, ..reached }), "from before there were links");
        let before = decode_reached(&row[..row.len() - 20]);
        assert_eq!(
            before,
            Ok(Reached { epoch: 0, log_id: None, ..reached }),
            "from before there were epochs"
        );
    }
    assert!(Counter::decode(b"short").is_err() && decode_reached(b"short").is_err());
}
