//! A partition in memory, and a reader of it.

use std::borrow::Cow;
use std::sync::Arc;

use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::{self, Envelope, Source};
use daybook_event::sequence::Reached;
use daybook_stream::{Admission, Discontinuity, Disposition, PartitionState, Placed, RecordView};
use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) const SERVICE: &str = "toys";
pub(crate) const PARTITION: i32 = 3;
pub(crate) const KEY: Option<&[u8]> = Some(b"a key");

/// Key and value of a record.
pub(crate) type Written = (Option<&'static [u8]>, Vec<u8>);

pub(crate) fn state() -> PartitionState {
    PartitionState::resume(Arc::from("toys.events"), PARTITION, SERVICE, Reached::default())
}

/// Each event of each epoch has an id of its own.
pub(crate) fn id(epoch: u32, position: u64) -> Uuid {
    Uuid::from_u128(u128::from(epoch) << 64 | u128::from(position) | 7 << 100)
}

pub(crate) fn event_of(source: Source<'_>, epoch: u32, position: u64, previous_id: Option<Uuid>) -> Written {
    let event = Envelope {
        writer_epoch: epoch,
        previous_id,
        id: id(epoch, position),
        source,
        event_type: "toy.made.v1".into(),
        subject: Uuid::nil(),
        time: Timestamp::UNIX_EPOCH,
        position,
        aggregate_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        traceparent: None,
        data: Cow::Owned(RawValue::from_string("{}".to_owned()).unwrap()),
    };
    (KEY, envelope::seal(&event).unwrap())
}

pub(crate) fn ours() -> Source<'static> {
    Source { service: SERVICE.into(), partition: PARTITION }
}

pub(crate) fn event(position: u64) -> Written {
    event_of(ours(), 0, position, None)
}

pub(crate) fn claim_of(source: Source<'_>, epoch: u32) -> Written {
    let writer =
        Writer { instance: Uuid::nil(), host: "a host".to_owned(), claimed_at: Timestamp::UNIX_EPOCH };
    (KEY, claim::seal(&Claim { id: id(epoch, u64::MAX), source, epoch, writer }).unwrap())
}

pub(crate) fn noise(number: usize) -> Written {
    (KEY, format!("noise {number}").into_bytes())
}

/// What a record was, in short, and which set-aside records got positions by it.
pub(crate) fn read(
    state: &mut PartitionState,
    offset: i64,
    (key, value): &Written,
) -> Result<(&'static str, Vec<Placed>), Discontinuity> {
    let value = (!value.is_empty()).then_some(&value[..]);
    let record = RecordView { offset, key: *key, value };
    let Admission { disposition, passing } = state.admit_envelope(&record, Vec::new)?;
    let what = match disposition {
        Disposition::Event(_) => "event",
        Disposition::Repeated => "repeated",
        Disposition::Fenced => "fenced",
        Disposition::Claim(_) => "claim",
        Disposition::SetAside { .. } => "set aside",
    };
    let placed = passing.placed().to_vec();
    state.advance(passing);
    Ok((what, placed))
}

/// What all of them were.
pub(crate) fn read_all(state: &mut PartitionState, records: &[Written]) -> Vec<&'static str> {
    let from = state.next_offset();
    (from..).zip(records).map(|(offset, record)| read(state, offset, record).unwrap().0).collect()
}
