//! Stored values: what is written is read back, and what is damaged is said.

use daybook_event::sequence::Reached;
use daybook_stream::SetAside;
use uuid::Uuid;

use crate::Existence;
use crate::command::Written;
use crate::references::{ReferenceRow, Value};
use crate::store::rows::{Checkpoint, Counter};

#[test]
fn counters_and_checkpoints_are_read_back() {
    for last_id in [None, Some(Uuid::from_u128(5))] {
        let counter = Counter { next: 8, last_id };
        assert_eq!(Counter::decode(&counter.encode()), Ok(counter));
        let log_id = last_id.map(|_| Uuid::from_u128(6));
        let reached = Reached { offset: 17, epoch: 3, next_position: 8, last_id, log_id };
        let (nothing, some) =
            (SetAside::default(), SetAside { records: 2, first_offset: 3, last_offset: i64::MAX });
        for (set_aside, form) in [(some, 0), (nothing, 7), (some, 7)] {
            let checkpoint = Checkpoint { reached, set_aside, form };
            let row = checkpoint.encode();
            assert_eq!(Checkpoint::decode(&row), Ok(checkpoint));
            assert!(Checkpoint::decode(&row[..row.len() - 1]).is_err());
        }
        let bare = |reached| Ok(Checkpoint { reached, set_aside: nothing, form: 0 });
        let row = Checkpoint { reached, set_aside: nothing, form: 0 }.encode();
        assert_eq!(Checkpoint::decode(&row), bare(reached));
        let before = Checkpoint::decode(&row[..row.len() - 16]);
        assert_eq!(before, bare(Reached { log_id: None, ..reached }), "from before there were links");
        let before = Checkpoint::decode(&row[..row.len() - 20]);
        let without = Reached { epoch: 0, log_id: None, ..reached };
        assert_eq!(before, bare(without), "from before there were epochs");
    }
    assert!(Counter::decode(b"short").is_err() && Checkpoint::decode(b"short").is_err());
}

#[test]
fn what_is_kept_of_others_is_read_back_and_existence_alone_as_it_was_before_there_were_values() {
    let event_at = Written { partition: 2, position: 9 };
    let before = [&[1][..], &2_i32.to_be_bytes(), &9_u64.to_be_bytes()].concat();
    let present = ReferenceRow { existence: Existence::Present(Value::new()), form: 0, event_at };
    assert_eq!((present.encode(), ReferenceRow::decode(&before)), (Some(before.clone()), Ok(present)));
    for existence in [Existence::Present(b"{}".to_vec()), Existence::Gone] {
        let row = ReferenceRow { existence, form: 3, event_at };
        let encoded = row.encode().unwrap();
        assert_eq!(ReferenceRow::decode(&encoded), Ok(row));
        assert!(ReferenceRow::decode(&encoded[..before.len() + 3]).is_err());
    }
    assert!(ReferenceRow::decode(&[&[3][..], &before[1..]].concat()).is_err());
    assert_eq!(ReferenceRow { existence: Existence::Unknown, form: 3, event_at }.encode(), None);
}
