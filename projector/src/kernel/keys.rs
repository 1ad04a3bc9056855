//! Keys of a generation's tree; see [`super::generation`] for their order.

use std::ops::Bound;

use uuid::Uuid;

use super::checkpoint::SourceId;
use super::codec::RowError;

/// Where the layout stands.
pub(super) const LAYOUT: &[u8] = &[0, b'l'];
/// Start of the keys of all partitions' checkpoints.
pub(super) const SOURCES: &[u8] = &[0, b's'];

const ROW_KEY_BYTES: usize = 1 + 16;

pub(super) fn row(view: u8, key: Uuid) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROW_KEY_BYTES + 4);
    bytes.push(view);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

pub(super) fn part(view: u8, key: Uuid, number: u32) -> Vec<u8> {
    let mut bytes = row(view, key);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// The row's key; `None` for a part, whose key is longer.
pub(super) fn row_key(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes.get(1..)?).ok()
}

pub(super) fn rows_start() -> Vec<u8> {
    vec![1]
}

/// All rows of a view after a key. (Parts of that key come along; a reader passes over them.)
pub(super) fn scan_range(view: u8, after: Option<Uuid>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from =
        after.map_or_else(|| Bound::Included(vec![view]), |key| Bound::Excluded(part(view, key, u32::MAX)));
    let to = view.checked_add(1).map_or(Bound::Unbounded, |next| Bound::Excluded(vec![next]));
    (from, to)
}

pub(super) fn source(source: &SourceId) -> Vec<u8> {
    let mut bytes = SOURCES.to_vec();
    bytes.extend_from_slice(source.topic.as_bytes());
    bytes.extend_from_slice(&source.partition.to_be_bytes());
    bytes
}

pub(super) fn decode_source(bytes: &[u8]) -> Result<SourceId, RowError> {
    let cut_off = || RowError::CutOff { field: "source" };
    let bytes = bytes.strip_prefix(SOURCES).ok_or_else(cut_off)?;
    let (topic, partition) = bytes.split_last_chunk().ok_or_else(cut_off)?;
    let topic = std::str::from_utf8(topic).map_err(|error| RowError::impossible("topic", error))?;
    Ok(SourceId { topic: topic.into(), partition: i32::from_be_bytes(*partition) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_its_parts_lie_together_and_views_apart() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sorted = [LAYOUT.to_vec(), row(1, a), part(1, a, 1), part(1, a, 256), row(1, b), row(2, a)];
        assert!(sorted.is_sorted());
        assert_eq!(row_key(&row(1, b)), Some(b));
        assert_eq!(row_key(&part(1, b, 0)), None);
    }

    #[test]
    fn a_source_comes_back_from_its_key() {
        let id = SourceId { topic: "users.events".into(), partition: 300 };
        assert_eq!(decode_source(&source(&id)), Ok(id));
        assert!(decode_source(&[0, b's', 1]).is_err());
    }
}
