//! Keys of a generation's store; see [`super::generation`] for their order.

use uuid::Uuid;

use super::checkpoint::SourceId;
use super::codec::RowError;

pub(super) const LAYOUT: &[u8] = &[0, b'l'];
pub(super) const DIGEST: &[u8] = &[0, b'd'];
/// Start of the keys of all partitions' checkpoints.
pub(super) const SOURCES: &[u8] = &[0, b's'];

/// Start of the keys of all events that wait.
pub(super) const PARKED: &[u8] = &[0, b'q'];

/// Bytes of a sum in the key of a piece, and of all that stands there behind the key of the event.
const PIECE_SUM_BYTES: usize = 8;
const PIECE_BYTES: usize = PIECE_SUM_BYTES + size_of::<u16>();

const KEY_BYTES: usize = size_of::<Uuid>();
const ROW_BYTES: usize = 1 + KEY_BYTES;
const PART_BYTES: usize = ROW_BYTES + size_of::<u32>();

/// Key of a stored row, or of one part of a row: the view's number, the row's key, and for a part its number
/// (big-endian), so that a row and its parts lie together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    bytes: [u8; PART_BYTES],
    length: u8,
}

impl RowKey {
    pub(super) fn row(view: u8, key: Uuid) -> Self {
        let mut bytes = [0; PART_BYTES];
        bytes[0] = view;
        bytes[1..ROW_BYTES].copy_from_slice(key.as_bytes());
        Self { bytes, length: ROW_BYTES as u8 }
    }

    pub(super) fn part(view: u8, key: Uuid, number: u32) -> Self {
        let mut part = Self::row(view, key);
        part.bytes[ROW_BYTES..].copy_from_slice(&number.to_be_bytes());
        part.length = PART_BYTES as u8;
        part
    }

    pub(super) fn last_before(view: u8, key: Uuid) -> Self {
        match key.as_u128().checked_sub(1) {
            Some(before) => Self::part(view, Uuid::from_u128(before), u32::MAX),
            None => Self::part(view.saturating_sub(1), Uuid::max(), u32::MAX),
        }
    }

    pub(super) fn of(view: u8, key: Uuid, part: Option<u32>) -> Self {
        part.map_or_else(|| Self::row(view, key), |number| Self::part(view, key, number))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<(u8, Uuid, Option<u32>), RowError> {
    let damaged = || RowError::impossible("key", format!("{bytes:?}"));
    let (view, rest) = bytes.split_first().ok_or_else(damaged)?;
    let (key, part) = rest.split_first_chunk::<KEY_BYTES>().ok_or_else(damaged)?;
    let part = match part {
        [] => None,
        part => Some(u32::from_be_bytes(part.try_into().map_err(|_| damaged())?)),
    };
    Ok((*view, Uuid::from_bytes(*key), part))
}

/// Where a view's rows begin that come after all of `after`'s.
pub(super) fn scan_start(view: u8, after: Option<Uuid>) -> Vec<u8> {
    match after {
        None => vec![view],
        // Nothing has this key but, at most, the last part there can be.
        Some(key) => [RowKey::part(view, key, u32::MAX).bytes(), &[0]].concat(),
    }
}

pub(super) fn source(source: &SourceId) -> Vec<u8> {
    let mut bytes = SOURCES.to_vec();
    bytes.extend_from_slice(source.topic.as_bytes());
    bytes.extend_from_slice(&source.partition.to_be_bytes());
    bytes
}

/// Key of an event that waits, for one view or, as view 0, for all. Neither topics nor keys that are parked have a byte 0.
pub(super) fn parked(source: &SourceId, key: &str, position: u64, view: u8) -> Vec<u8> {
    let mut bytes = parked_prefix(source, key);
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes.push(view);
    bytes
}

/// Key of one piece of an event that waits and is not stored whole: that of the event, some of its sum, and a number.
pub(super) fn parked_piece(parked: &[u8], sum: &[u8], number: u16) -> Vec<u8> {
    [parked, &sum[..PIECE_SUM_BYTES], &number.to_be_bytes()].concat()
}

/// Behind the key of an event that waits and those of all its pieces.
pub(super) fn parked_end(parked: &[u8]) -> Vec<u8> {
    [parked, &[u8::MAX; PIECE_BYTES + 1]].concat()
}

/// What stands under a key of events that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParkedKeyPart<'k> {
    Head,
    Piece { sum: &'k [u8], number: u16 },
}

pub(super) fn parked_part(key: &[u8]) -> Result<ParkedKeyPart<'_>, RowError> {
    let damaged = || RowError::impossible("key", format!("{key:?}"));
    let behind_zero = |bytes: &[u8]| bytes.iter().position(|byte| *byte == 0).map(|zero| zero + 1);
    let topic = behind_zero(key.get(PARKED.len()..).ok_or_else(damaged)?).ok_or_else(damaged)?;
    let text = PARKED.len() + topic + size_of::<i32>();
    let prefix = text + behind_zero(key.get(text..).ok_or_else(damaged)?).ok_or_else(damaged)?;
    let piece = key.get(prefix + size_of::<u64>() + size_of::<u8>()..).ok_or_else(damaged)?;
    match piece.split_last_chunk() {
        None if piece.is_empty() => Ok(ParkedKeyPart::Head),
        Some((sum, number)) if sum.len() == PIECE_SUM_BYTES => {
            Ok(ParkedKeyPart::Piece { sum, number: u16::from_be_bytes(*number) })
        }
        _ => Err(damaged()),
    }
}

/// What the keys of all waiting events of one key begin with.
pub(super) fn parked_prefix(source: &SourceId, key: &str) -> Vec<u8> {
    let partition = source.partition.to_be_bytes();
    [PARKED, source.topic.as_bytes(), &[0], &partition, key.as_bytes(), &[0]].concat()
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
        let (row, part) = (RowKey::row, RowKey::part);
        let sorted = [row(1, a), part(1, a, 1), part(1, a, 256), row(1, b), row(2, a)];
        assert!(sorted.iter().map(RowKey::bytes).is_sorted());
        assert!(LAYOUT < row(1, a).bytes());
        assert_eq!(decode(row(1, b).bytes()), Ok((1, b, None)));
        assert_eq!(decode(part(1, b, 9).bytes()), Ok((1, b, Some(9))));
        assert!(decode(&[1, 2]).is_err() && decode(&[]).is_err());
    }

    #[test]
    fn a_scan_begins_after_all_parts() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let start = scan_start(1, Some(a));
        assert!(RowKey::part(1, a, u32::MAX).bytes() < &start[..] && &start[..] < RowKey::row(1, b).bytes());
    }

    #[test]
    fn the_pieces_of_an_event_that_waits_lie_behind_it_and_before_the_next_one() {
        // Zeroes in the number of a partition and in positions are no ends of names.
        let id = SourceId { topic: "users.events".into(), partition: 0 };
        let (head, next) = (parked(&id, "a key", 0, 0), parked(&id, "a key", 0, 1));
        let pieces = [parked_piece(&head, &[0; 16], 0), parked_piece(&head, &[u8::MAX; 16], u16::MAX)];
        let end = parked_end(&head);
        assert!([&head, &pieces[0], &pieces[1], &end, &next].is_sorted());
        assert_eq!(parked_part(&head), Ok(ParkedKeyPart::Head));
        let sum = &[u8::MAX; 8][..];
        assert_eq!(parked_part(&pieces[1]), Ok(ParkedKeyPart::Piece { sum, number: u16::MAX }));
        assert!(parked_part(&end).is_err() && parked_part(&head[..head.len() - 1]).is_err());
        assert!(parked_part(PARKED).is_err());
    }

    #[test]
    fn a_source_comes_back_from_its_key() {
        let id = SourceId { topic: "users.events".into(), partition: 300 };
        assert_eq!(decode_source(&source(&id)), Ok(id));
        assert!(decode_source(&[0, b's', 1]).is_err());
    }
}
