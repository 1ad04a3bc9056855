//! A test kit: given, when, then for an aggregate, and for a view all that a log and a crash can do to it. A line each.
//!
//! The feature `testing` has it: `daybook = { …, features = ["testing"] }` under `[dev-dependencies]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failed test panics"
)]

mod history;
mod log;

use std::fmt::Debug;

use daybook_command::Aggregate;
#[doc(inline)]
pub use daybook_command::testing::given;
use daybook_event::{Event, EventData};

pub use history::{History, history};
pub use log::PARTITIONS;

/// Checks that events are the same after they were written and read, and that states are.
///
/// # Panics
/// If an event or a state is another one when it is read again.
#[track_caller]
pub fn survives_storage<A: Aggregate>(events: impl IntoIterator<Item = A::Event>)
where
    A::Event: PartialEq + Debug,
{
    let mut state = None;
    for event in events {
        let (named, data) = (event.event_type(), event.to_data().expect("an event is written as JSON"));
        assert!(A::Event::NEWEST.contains(&named), "{named} is no type of these events");
        assert_eq!(
            A::Event::from_data(named, &data).as_ref(),
            Ok(&event),
            "{named} is read as another event"
        );
        if let Some(read) = A::Event::read_canonical(named, data.get().as_bytes()) {
            assert_eq!(read, event, "{named} is read as another event");
        }
        let written = serde_json::to_string(&A::evolve(state, &event)).expect("a state is written as JSON");
        let read: A::State = serde_json::from_str(&written).expect("a state is read as it was written");
        assert_eq!(
            serde_json::to_string(&read).expect("the same"),
            written,
            "the state after {named} is another one when it is read"
        );
        state = Some(read);
    }
}
