//! The test kit finds what is wrong with a view.

use std::collections::BTreeSet;

use daybook::prelude::*;
use daybook::testing::history;

/// A letter came into a box, from a sender. The sender is the record key.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(service = "post", topic = "post.events", prefix = "post.letter.", key = sender)]
enum Letter {
    #[event("came.v1")]
    Came { sender: Uuid, mailbox: Uuid },
}

/// From several partitions into one box.
fn letters() -> Vec<Letter> {
    let letter = |(sender, mailbox)| Letter::Came {
        sender: Uuid::from_u128(sender),
        mailbox: Uuid::from_u128(mailbox),
    };
    [(1, 100), (2, 100), (3, 100), (4, 200), (5, 100), (6, 200), (1, 200), (2, 100)].map(letter).to_vec()
}

/// A view of letters by box, of which everything but the fold is the same.
macro_rules! view {
    ($name:ident, $row:ty, $by_record_key:literal, $fold:expr) => {
        struct $name;

        impl View for $name {
            type Event = Letter;
            type Change = Uuid;
            type Row = $row;
            const ID: u8 = 1;
            const NAME: &'static str = "letters";
            const BY_RECORD_KEY: bool = $by_record_key;

            fn change(event: &Letter) -> Option<(Uuid, Uuid)> {
                let Letter::Came { sender, mailbox } = event;
                Some((*mailbox, *sender))
            }

            fn fold(row: Option<$row>, sender: Uuid, _: &EventMeta<'_>, _: &mut Parts<'_>) -> Folded<$row> {
                let fold: fn(Option<$row>, Uuid) -> $row = $fold;
                Ok(Some(fold(row, sender)))
            }
        }
    };
}

view!(Senders, BTreeSet<Uuid>, false, |row, sender| {
    let mut row = row.unwrap_or_default();
    row.insert(sender);
    row
});
view!(LastSender, Uuid, false, |_, sender| sender);
view!(SaysByRecordKey, BTreeSet<Uuid>, true, |row, _| row.unwrap_or_default());

/// Something that is lost when the row is written.
#[derive(Default)]
struct Forgetful(u64);

impl daybook::event::derived::serde::Serialize for Forgetful {
    fn serialize<S: daybook::event::derived::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0 / 2 * 2)
    }
}

impl<'de> daybook::event::derived::serde::Deserialize<'de> for Forgetful {
    fn deserialize<D: daybook::event::derived::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        daybook::event::derived::serde::Deserialize::deserialize(from).map(Self)
    }
}

view!(Count, Forgetful, false, |row, _| Forgetful(row.unwrap_or_default().0 + 1));

#[test]
fn a_sound_view_survives_everything() {
    const SENDERS: Projection<Letter> = Projection::of(1, &[ViewEntry::of::<Senders>()]);
    history(SENDERS, letters()).survives_everything();
    assert_eq!(history(SENDERS, letters()).row::<Senders>(Uuid::from_u128(200)).unwrap().len(), 3);
}

#[test]
#[should_panic(expected = "other rows with the partitions in another order")]
fn a_row_of_several_partitions_that_depends_on_their_order_is_found() {
    const LAST_SENDER: Projection<Letter> = Projection::of(1, &[ViewEntry::of::<LastSender>()]);
    history(LAST_SENDER, letters()).survives_reordering();
}

#[test]
#[should_panic(expected = "other rows after a crash")]
fn a_row_that_is_another_one_when_it_is_read_again_is_found() {
    const COUNT: Projection<Letter> = Projection::of(1, &[ViewEntry::of::<Count>()]);
    history(COUNT, letters()).survives_crashes();
}

#[test]
#[should_panic(expected = "the rows of letters have the record key, it says")]
fn a_view_that_says_it_goes_by_the_record_key_and_does_not_is_found() {
    const SAYS: Projection<Letter> = Projection::of(1, &[ViewEntry::of::<SaysByRecordKey>()]);
    history(SAYS, letters());
}
