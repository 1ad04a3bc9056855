//! Stored values: what is written is read back, and what is damaged is said.

use daybook_event::sequence::Reached;
use daybook_stream::SetAside;

use crate::rows::{Counter, decode_checkpoint, encode_checkpoint};

#[test]
fn counters_and_checkpoints_are_read_back() {
    for last_id in [None, Some(uuid::Uuid::from_u128(5))] {
        let counter = Counter { next: 8, last_id };
        assert_eq!(Counter::decode(&counter.encode()), Ok(counter));
        let log_id = last_id.map(|_| uuid::Uuid::from_u128(6));
        let reached = Reached { offset: 17, epoch: 3, next_position: 8, last_id, log_id };
        let (nothing, some) =
            (SetAside::default(), SetAside { records: 2, first_offset: 3, last_offset: i64::MAX });
        let row = encode_checkpoint(&reached, some);
        assert_eq!(decode_checkpoint(&row), Ok((reached, some)));
        assert!(decode_checkpoint(&row[..row.len() - 1]).is_err());
        let row = encode_checkpoint(&reached, nothing);
        assert_eq!(decode_checkpoint(&row), Ok((reached, nothing)));
        let before = decode_checkpoint(&row[..row.len() - 16]);
        assert_eq!(
            before,
            Ok((Reached { log_id: None, ..reached }, nothing)),
            "from before there were links"
        );
        let before = decode_checkpoint(&row[..row.len() - 20]);
        let without = Reached { epoch: 0, log_id: None, ..reached };
        assert_eq!(before, Ok((without, nothing)), "from before there were epochs");
    }
    assert!(Counter::decode(b"short").is_err() && decode_checkpoint(b"short").is_err());
}
