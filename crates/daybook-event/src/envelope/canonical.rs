//! Opening what [`super::seal`] wrote, exactly as it writes it.

use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Source, attribute};
use crate::canonical::Cursor;

/// Of a sealed event what its readers use; the rest has been read and is known to be right.
pub(crate) struct Canonical<'a> {
    pub(crate) writer_epoch: u32,
    pub(crate) previous_id: Option<Uuid>,
    pub(crate) id: Uuid,
    pub(crate) source: Source<'a>,
    pub(crate) event_type: &'a str,
    pub(crate) time: Timestamp,
    pub(crate) position: u64,
    pub(crate) aggregate_version: u64,
    /// What stands in the place of the data. Whether that is JSON, or even text, has not been looked at.
    pub(crate) data: &'a [u8],
}

/// Opens an event in canonical form. `None` says nothing about whether it is one in another form.
#[inline]
pub(crate) fn open(value: &[u8]) -> Option<Canonical<'_>> {
    let mut at = Cursor::new(value);
    at.expect(br#"{"specversion":"1.0","#)?;
    let writer_epoch = if at.skip(br#""writerepoch":"#) { epoch(&mut at)? } else { 0 };
    let previous_id = if at.skip(br#""previousid":""#) { Some(previous(&mut at)?) } else { None };
    let id = at.uuid(br#""id":""#)?;
    let source = attribute::source(Cow::Borrowed(at.text(br#"","source":""#)?)).ok()?;
    let event_type = at.text(br#"","type":""#)?;
    at.uuid(br#"","subject":""#)?;
    let time = at.time(br#"","time":""#)?;
    let position = at.twenty_digits(br#"","sequence":""#)?;
    let aggregate_version = at.number(br#"","aggregateversion":"#).filter(|version| *version >= 1)?;
    at.uuid(br#","correlationid":""#)?;
    at.uuid(br#"","causationid":""#)?;
    if at.skip(br#"","traceparent":""#) {
        at.text(b"")?;
    }
    at.expect(br#"","datacontenttype":"application/json","data":"#)?;
    let data = at.rest().strip_suffix(b"}")?;
    Some(Canonical {
        writer_epoch,
        previous_id,
        id,
        source,
        event_type,
        time,
        position,
        aggregate_version,
        data,
    })
}

#[inline]
fn epoch(at: &mut Cursor<'_>) -> Option<u32> {
    let epoch = at.number(b"")?;
    at.expect(b",")?;
    u32::try_from(epoch).ok().filter(|epoch| *epoch <= attribute::EPOCH_MAX)
}

#[inline]
fn previous(at: &mut Cursor<'_>) -> Option<Uuid> {
    let id = at.uuid(b"")?;
    at.expect(br#"","#)?;
    Some(id)
}
