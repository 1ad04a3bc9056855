//! A change with its place in the log, as bytes: the change, its place, and how long the place is.

use crate::checkpoint::SourceId;
use crate::codec::{RowError, RowReader, put_signed, put_varint};
use crate::view::EventMeta;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangeAt {
    /// Index of the partition, in the order of the checkpoint.
    pub(crate) source: u32,
    pub(crate) offset: i64,
    pub(crate) position: u64,
    pub(crate) time_us: i64,
}

impl ChangeAt {
    /// Appends the place behind a change.
    pub(crate) fn put(&self, to: &mut Vec<u8>) {
        let start = to.len();
        put_varint(to, u64::from(self.source));
        put_varint(to, self.position);
        // The two differ by the duplicates before, which are few.
        put_signed(to, self.offset.wrapping_sub(self.position.cast_signed()));
        to.extend_from_slice(&self.time_us.to_le_bytes());
        // At most 5 + 10 + 10 + 8 bytes.
        to.push((to.len() - start) as u8);
    }

    /// What the fold sees of it.
    pub(crate) fn meta<'s>(&self, source: &'s SourceId) -> EventMeta<'s> {
        let Self { position, time_us, .. } = *self;
        EventMeta { topic: &source.topic, partition: source.partition, position, time_us }
    }
}

pub(crate) fn split(record: &[u8]) -> Result<(&[u8], ChangeAt), RowError> {
    let cut_off = || RowError::CutOff { field: "change" };
    let (place_bytes, rest) = record.split_last().ok_or_else(cut_off)?;
    let change_bytes = rest.len().checked_sub(usize::from(*place_bytes)).ok_or_else(cut_off)?;
    let (change, place) = rest.split_at(change_bytes);
    let mut reader = RowReader::new(place);
    let source = reader.number("source")?;
    let position = reader.varint("position")?;
    let offset = reader.signed("offset")?.wrapping_add(position.cast_signed());
    let time = reader.take(size_of::<i64>(), "time")?;
    reader.finish()?;
    let time_us = i64::from_le_bytes(time.try_into().map_err(|_| cut_off())?);
    Ok((change, ChangeAt { source, offset, position, time_us }))
}

/// For `fuzz_checks`: whether this is a change with its place, which then lies within.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_a_record(bytes: &[u8]) -> bool {
    split(bytes).map(|(change, _)| assert!(bytes.starts_with(change))).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_change_and_its_place_come_back(
            change: Vec<u8>, source: u32, offset in 0..i64::MAX, position in 0..u64::MAX / 2, time_us: i64
        ) {
            let at = ChangeAt { source, offset, position, time_us };
            let mut record = change.clone();
            at.put(&mut record);
            prop_assert_eq!(split(&record), Ok((&change[..], at)));
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(record: Vec<u8>) {
            let _ = split(&record);
        }
    }
}
