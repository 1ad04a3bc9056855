//! Service D as it was before products could be changed: the kernel, the routes and the rows of today, but an event type that
//! it does not know. What it parks, the D of today projects.

use std::process::ExitCode;

use daybook_event::event_data::{DataError, EventData, unknown_type};
use daybook_projection::projection::{Projection, ViewEntry};
use daybook_projection::{EventMeta, FoldError, PartStore, Parts, ReadError, RowError, View};
use projector::{orders::Orders, products::Products, users::Users};
use schemas::ShopEvent;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What the types that it does not know begin with.
const UNKNOWN: &str = "shop.product.changed.";

fn main() -> ExitCode {
    daybook_query::command_line::main(query_api::DEFAULTS, older(), query_api::queries())
}

fn older() -> Projection<OlderEvent> {
    let today = projector::projection();
    let views = const {
        &[
            ViewEntry::of::<Older<Products>>(),
            ViewEntry::of::<Older<Users>>(),
            ViewEntry::of::<Older<Orders>>(),
        ]
    };
    Projection { layout_version: today.layout_version, topics: today.topics, views }
}

/// An event that it knows.
struct OlderEvent(ShopEvent);

impl EventData for OlderEvent {
    fn event_type(&self) -> &'static str {
        self.0.event_type()
    }

    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        self.0.to_data()
    }

    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        match event_type.starts_with(UNKNOWN) {
            true => Err(unknown_type(event_type, &[])),
            false => ShopEvent::from_data(event_type, data).map(Self),
        }
    }
}

/// A view of today, fed with what is known.
struct Older<V>(V);

impl<V: View<Event = ShopEvent>> View for Older<V> {
    type Event = OlderEvent;
    type Change = V::Change;
    type Row = V::Row;
    const ID: u8 = V::ID;
    const NAME: &'static str = V::NAME;

    fn change(event: &OlderEvent) -> Option<(Uuid, V::Change)> {
        V::change(&event.0)
    }

    fn fold(
        row: Option<V::Row>,
        change: V::Change,
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<V::Row>, FoldError> {
        V::fold(row, change, at, parts)
    }

    fn put_change(change: &V::Change, to: &mut Vec<u8>) -> Result<(), RowError> {
        V::put_change(change, to)
    }

    fn read_change(bytes: &[u8]) -> Result<V::Change, RowError> {
        V::read_change(bytes)
    }

    fn encode(row: &V::Row, to: &mut Vec<u8>) -> Result<(), RowError> {
        V::encode(row, to)
    }

    fn decode(bytes: &[u8]) -> Result<V::Row, RowError> {
        V::decode(bytes)
    }

    fn heap_bytes(row: &V::Row) -> usize {
        V::heap_bytes(row)
    }

    fn describe(row: &V::Row, key: Uuid, parts: &dyn PartStore) -> Result<Value, ReadError> {
        V::describe(row, key, parts)
    }
}
