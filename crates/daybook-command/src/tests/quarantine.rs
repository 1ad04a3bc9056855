//! What waits of other services' topics: parked, tried again by a newer program, and bounded.

use std::borrow::Cow;

use daybook_event::envelope::{Envelope, Source};
use daybook_store::{Store, VALUE_BYTES_MAX};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tempfile::TempDir;
use uuid::Uuid;

use crate::command::Written;
use crate::follow::quarantine::{PARKED_EVENTS_PER_KEY_MAX, Quarantine};
use crate::incoming::IncomingFault;
use crate::references::{Existence, Followed, ReferenceRow, ReferenceUpdate, Value};
use crate::store::keys;
use crate::store::rows::Parked;

const DOLL: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

/// Reads two types, each newer program one more than the older.
fn read(event_type: &str, newest: u8) -> Result<ReferenceUpdate<Value>, String> {
    match event_type {
        "made.v1" => Ok(Some(Existence::Present(Value::new()))),
        "painted.v2" if newest >= 2 => Ok(None),
        "gone.v3" if newest >= 3 => Ok(Some(Existence::Gone)),
        _ => Err(format!("event type `{event_type}` is unknown")),
    }
}

const OLD: &[Followed] = &[Followed::reading("dolls", |event_type, _| read(event_type, 1))];
const NEWER: &[Followed] = &[Followed::reading("dolls", |event_type, _| read(event_type, 2))];
const NEWEST: &[Followed] = &[Followed::reading("dolls", |event_type, _| read(event_type, 3))];

fn event(subject: Uuid, position: u64, event_type: &'static str) -> Envelope<'static> {
    Envelope {
        writer_epoch: 1,
        previous_id: None,
        id: Uuid::from_u128(u128::from(position) + 100),
        source: Source { service: Cow::Borrowed("dolls"), partition: 2 },
        event_type: Cow::Borrowed(event_type),
        subject,
        time: Timestamp::UNIX_EPOCH,
        position,
        aggregate_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        traceparent: None,
        data: Cow::Owned(RawValue::from_string("{}".to_owned()).unwrap()),
    }
}

fn store(dir: &TempDir) -> Store {
    Store::open(&dir.path().join("store"), 1 << 20).unwrap()
}

/// Parks an event as a program would that reads only the first version.
fn park(store: &Store, quarantine: &mut Quarantine, event: &Envelope<'_>) -> Result<(), IncomingFault> {
    let unreadable = (!quarantine.waits(0, event.subject)).then(|| read(&event.event_type, 1).unwrap_err());
    store.apply(quarantine.park(0, event, unreadable)?).unwrap();
    Ok(())
}

/// Tries again, writes what comes of it, and says how many events wait still.
fn tried_again(store: &Store, follows: &'static [Followed]) -> u64 {
    let (mut left, released) = Quarantine::try_again(store, follows).unwrap();
    released.into_iter().for_each(|writes| store.apply(writes).unwrap());
    left.show().unwrap().events
}

fn first_parked(store: &Store) -> Option<Parked> {
    store.get(&keys::parked(0, DOLL)).unwrap().map(|row| Parked::decode(&row).unwrap())
}

fn kept(store: &Store) -> Option<ReferenceRow> {
    store.get(&keys::reference(0, DOLL)).unwrap().map(|row| ReferenceRow::decode(&row).unwrap())
}

#[test]
fn a_newer_program_takes_what_waits_in_order_up_to_what_it_cannot_read_either() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let (mut quarantine, _) = Quarantine::try_again(&store, OLD).unwrap();
    for event in [event(DOLL, 4, "painted.v2"), event(DOLL, 6, "made.v1"), event(DOLL, 7, "gone.v3")] {
        park(&store, &mut quarantine, &event).unwrap();
    }
    assert!(quarantine.waits(0, DOLL) && !quarantine.waits(0, OTHER));
    let shown = quarantine.show().unwrap();
    assert_eq!((shown.keys, shown.events, shown.first[0].events), (1, 3, 3));
    assert_eq!((shown.first[0].key, shown.first[0].parked.position), (DOLL, 4));
    assert_eq!(quarantine.show(), None, "nothing has changed since");

    // As another process of the same version finds it.
    assert_eq!(tried_again(&store, OLD), 3);
    assert_eq!((first_parked(&store).unwrap().position, kept(&store)), (4, None));

    assert_eq!(tried_again(&store, NEWER), 1);
    let first = first_parked(&store).unwrap();
    assert_eq!((first.position, first.event_id), (7, Uuid::from_u128(107)));
    assert!(first.reason.contains("gone.v3"), "{}", first.reason);
    let row = |existence, position| {
        Some(ReferenceRow { existence, form: 0, event_at: Written { partition: 2, position } })
    };
    assert_eq!(kept(&store), row(Existence::Present(Value::new()), 6));

    assert_eq!(tried_again(&store, NEWEST), 0);
    assert_eq!(first_parked(&store), None);
    assert_eq!(kept(&store), row(Existence::Gone, 7));
    assert!(store.scan(&keys::waiting_all(), usize::MAX).unwrap().is_empty());
}

#[test]
fn beyond_the_bound_following_stops() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let (mut quarantine, _) = Quarantine::try_again(&store, OLD).unwrap();
    for position in 0..PARKED_EVENTS_PER_KEY_MAX {
        park(&store, &mut quarantine, &event(DOLL, position, "painted.v2")).unwrap();
    }
    // Also one that goes on with what waits.
    let (mut again, _) = Quarantine::try_again(&store, OLD).unwrap();
    for quarantine in [&mut quarantine, &mut again] {
        let refused =
            park(&store, quarantine, &event(DOLL, PARKED_EVENTS_PER_KEY_MAX, "made.v1")).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("as many events of one aggregate wait as may"), "{said}");
        assert!(said.contains(&DOLL.to_string()), "{said}");
    }
    park(&store, &mut quarantine, &event(OTHER, 0, "painted.v2")).unwrap();
}

/// The row of an event that waits has a key, too.
#[test]
fn what_just_fits_into_the_store_waits_and_what_does_not_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let (mut quarantine, _) = Quarantine::try_again(&store, OLD).unwrap();
    let of_bytes = |position, bytes| {
        let data = serde_json::value::to_raw_value(&"x".repeat(bytes)).unwrap();
        Envelope { data: Cow::Owned(data), ..event(DOLL, position, "painted.v2") }
    };
    park(&store, &mut quarantine, &of_bytes(1, 0)).unwrap();
    let key = keys::waiting(0, DOLL, 1);
    let row = store.get(&key).unwrap().unwrap();
    let room = VALUE_BYTES_MAX - key.len() - row.len();
    for too_many in 1..=key.len() {
        let refused = park(&store, &mut quarantine, &of_bytes(2, room + too_many)).unwrap_err();
        assert!(refused.to_string().contains("larger than what may wait"), "{refused}");
    }
    park(&store, &mut quarantine, &of_bytes(2, room)).unwrap();
    assert_eq!(quarantine.show().unwrap().events, 2);
}
