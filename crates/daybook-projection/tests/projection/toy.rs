//! A domain of one view whose rows break at a number: lamps that are switched.

use daybook_event::envelope::Source;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};
use daybook_projection::engine::{Engine, Limits};
use daybook_projection::projection::ViewEntry;
use daybook_projection::{Checkpoint, EventMeta, FoldError, Parts, Projection, Topic, View};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::log::{HOLDER, Record, apply, fresh_of, sealed_as};
use daybook_projection::Generation;

/// A lamp was switched on so many times.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Switched {
    lamp: Uuid,
    times: u8,
}

const SWITCHED: &str = "toy.lamp.switched.v1";

impl EventData for Switched {
    fn event_type(&self) -> &'static str {
        SWITCHED
    }
    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }
    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        if event_type == SWITCHED {
            read_fields(event_type, data)
        } else {
            Err(unknown_type(event_type, &[SWITCHED]))
        }
    }
}

/// How often each lamp was switched. At 0 the row goes; at `BREAKS_AT` it breaks.
struct Switches<const BREAKS_AT: u8>;

impl<const BREAKS_AT: u8> View for Switches<BREAKS_AT> {
    type Event = Switched;
    type Change = u8;
    type Row = u64;
    const ID: u8 = 255;
    const NAME: &'static str = "switches";

    fn change(event: &Switched) -> Option<(Uuid, u8)> {
        Some((event.lamp, event.times))
    }
    fn fold(
        row: Option<u64>,
        times: u8,
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<u64>, FoldError> {
        parts.write(at.position as u32, vec![times]);
        match (times, row) {
            (0, _) => Ok(None),
            _ if times == BREAKS_AT => {
                Err(FoldError::Contradiction { key: parts.key(), detail: "broken".to_owned() })
            }
            (times, row) => Ok(Some(row.unwrap_or(0) + u64::from(times))),
        }
    }
}

pub(crate) const LAMPS: Projection<Switched> = Projection {
    layout_version: 7,
    topics: &[Topic { name: "lamps", service: "house" }],
    views: &[ViewEntry::of::<Switches<13>>()],
};
/// The same of a newer program, for which lamps do not break.
pub(crate) const UNBREAKABLE: Projection<Switched> =
    Projection { views: &[ViewEntry::of::<Switches<255>>()], ..LAMPS };
pub(crate) const LAMP: Uuid = Uuid::from_u128(5);

/// The same, for which lamps break at another number.
pub(crate) const BREAKS_AT_14: Projection<Switched> =
    Projection { views: &[ViewEntry::of::<Switches<14>>()], ..LAMPS };

pub(crate) fn record(position: u64, times: u8) -> Record {
    record_of(LAMP, position, times)
}

pub(crate) fn record_of(lamp: Uuid, position: u64, times: u8) -> Record {
    let source = Source { service: "house".into(), partition: 0 };
    let value = sealed_as(&Switched { lamp, times }, &source, position, Uuid::from_u128(position.into()));
    Record { source: 0, offset: position as i64, key: lamp.to_string().into_bytes(), value }
}

pub(crate) fn lamps(path: &std::path::Path) -> Generation {
    fresh_of(path, LAMPS, &Checkpoint::zero([("lamps", 1)]))
}

#[test]
fn rows_come_change_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let generation = lamps(&directory.path().join("gen"));
    let mut engine = Engine::new(LAMPS, &generation.checkpoint(), Limits::following(0));
    let mut shown = Vec::new();
    for (position, times) in [2, 3, 0, 4].into_iter().enumerate() {
        apply(&mut engine, &generation, &record(position as u64, times)).unwrap();
        engine.commit(&generation).unwrap();
        shown.push(LAMPS.inspect(&generation, LAMP).unwrap().pop().map(|(_, row)| row));
    }
    assert_eq!(shown, [Some(json!(2)), Some(json!(5)), None, Some(json!(4))]);
    assert_eq!(generation.part(255, LAMP, 1).unwrap().unwrap().as_ref(), [3]);
    assert_eq!(generation.scan(255, None, 10).unwrap().len(), 1);
}

/// How often a lamp was switched, as a map that names its entries: the format of rows has no names.
#[derive(serde::Serialize, serde::Deserialize)]
struct ByName {
    #[serde(flatten)]
    times: std::collections::BTreeMap<String, u8>,
}

struct Unwritable;

impl View for Unwritable {
    type Event = Switched;
    type Change = u8;
    type Row = ByName;
    const ID: u8 = 255;
    const NAME: &'static str = "switches";

    fn change(event: &Switched) -> Option<(Uuid, u8)> {
        Some((event.lamp, event.times))
    }
    fn fold(
        _row: Option<ByName>,
        times: u8,
        _at: &EventMeta<'_>,
        _parts: &mut Parts<'_>,
    ) -> Result<Option<ByName>, FoldError> {
        Ok(Some(ByName { times: [("times".to_owned(), times)].into() }))
    }
}

#[test]
fn a_row_that_cannot_be_written_is_named_and_nothing_of_it_is_committed() {
    const UNWRITABLE: Projection<Switched> =
        Projection { views: const { &[ViewEntry::of::<Unwritable>()] }, ..LAMPS };
    let directory = tempfile::tempdir().unwrap();
    let generation = lamps(&directory.path().join("gen"));
    let mut engine = Engine::new(UNWRITABLE, &generation.checkpoint(), Limits::following(0));
    apply(&mut engine, &generation, &record(0, 2)).unwrap();
    let sentence = engine.commit(&generation).unwrap_err().to_string();
    let named = format!("row {LAMP} of view switches: a row or change of this type cannot be written");
    assert!(sentence.contains(&named), "{sentence}");
    assert_eq!((generation.checkpoint().events(), generation.scan(255, None, 1).unwrap().len()), (0, 0));
}

#[test]
fn another_layout_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    drop(lamps(&path));
    let error = Generation::open(&path, &crate::domain::layout(), HOLDER).err().unwrap();
    let sentence = error.to_string();
    assert!(sentence.contains("layout 7 (switches=255; store 6)"), "{sentence}");
    assert!(sentence.contains("projector --replay"), "{sentence}");
}
