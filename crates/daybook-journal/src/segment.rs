//! The first and the last blocks of a segment: its header, and the footer of one that is closed. Pure.

use std::ops::Range;

use uuid::Uuid;

use crate::fields::{Damaged, Fields, put_bytes, put_count};
use crate::frame::BLOCK_BYTES;
use crate::keys::KeyAt;

const HEADER_MAGIC: [u8; 4] = *b"DBJs";
const FOOTER_MAGIC: [u8; 4] = *b"DBJf";
const TRAILER_MAGIC: [u8; 4] = *b"DBJe";
const VERSION: u8 = 1;
/// Magic, version and three zeros, length.
const PREFIX_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
const TRAILER_BYTES: usize = 20;
/// Largest header or footer that is believed: more than any segment needs.
const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Full name of the service's topic.
    pub topic: String,
    /// Id of the Kafka cluster; empty if it is not known.
    pub cluster: String,
    /// Version of keys and values of the index.
    pub layout: u32,
    /// Partitions of the topic.
    pub partitions: i32,
}

/// Where in the log the event lies that was marked last as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Kafka's offset right behind that event.
    pub offset: i64,
    /// The epoch in force there.
    pub epoch: u32,
    /// The position behind the event.
    pub next_position: u64,
    /// The event's id.
    pub last_id: Option<Uuid>,
}

/// Where one partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// Position of the next event.
    pub next: u64,
    /// Id of the last event.
    pub last_id: Option<Uuid>,
    /// Positions that Kafka has acknowledged, as far as it was known.
    pub acknowledged: u64,
    /// The event that was marked last.
    pub mark: Mark,
}

/// What a segment begins with: enough to go on from here if nothing older is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) journal: Uuid,
    pub(crate) identity: Identity,
    pub(crate) segment: u64,
    /// Number of the segment's first record.
    pub(crate) first_number: u64,
    /// Checksum of the record before that.
    pub(crate) prior: u32,
    /// Up to this record the index was synced.
    pub(crate) index_synced: u64,
    /// The oldest segment that was needed.
    pub(crate) oldest_segment: u64,
    /// In milliseconds since 1970.
    pub(crate) created_ms: u64,
    /// Where each partition stands at the segment's beginning: behind the record before it, or behind what the log had
    /// more than that.
    pub(crate) partitions: Vec<PartitionState>,
}

/// Events of one partition that follow one another in one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Position of the first.
    pub(crate) first: u64,
    /// How many they are.
    pub(crate) count: u32,
    /// Their bytes.
    pub(crate) bytes: u32,
    /// Where the record lies.
    pub(crate) block: u32,
}

impl Run {
    const BYTES: usize = 8 + 4 + 4 + 4;

    /// The position behind the last.
    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.first.to_be_bytes());
        [self.count, self.bytes, self.block].iter().for_each(|n| to.extend_from_slice(&n.to_be_bytes()));
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        Ok(Self { first: fields.u64()?, count: fields.u32()?, bytes: fields.u32()?, block: fields.u32()? })
    }
}

/// What one partition has in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PartitionEvents {
    /// Bytes of its events.
    pub(crate) bytes: u64,
    /// In the order in which they were written.
    pub(crate) runs: Vec<Run>,
}

impl PartitionEvents {
    pub(crate) fn push(&mut self, run: Run) {
        self.bytes += u64::from(run.bytes);
        self.runs.push(run);
    }
}

/// What a closed segment holds, so that a start need not read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) segment: u64,
    /// Numbers of its records.
    pub(crate) numbers: Range<u64>,
    /// Checksum of its last record, or of the one before if it has none.
    pub(crate) last_sum: u32,
    /// When its last record was committed; 0 if it has none.
    pub(crate) last_committed_ms: u64,
    /// What its last record says: up to where the index was synced.
    pub(crate) index_synced: u64,
    /// What its last record says: the oldest segment that was needed.
    pub(crate) oldest_segment: u64,
    pub(crate) partitions: Vec<PartitionEvents>,
    /// Where each partition stood behind the segment's last record.
    pub(crate) states: Vec<PartitionState>,
    /// Idempotency keys, and the block of the record that has their outcome.
    pub(crate) keys: Vec<KeyAt>,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = prefix(HEADER_MAGIC);
        to.extend_from_slice(self.journal.as_bytes());
        put_bytes(&mut to, self.identity.topic.as_bytes());
        put_bytes(&mut to, self.identity.cluster.as_bytes());
        to.extend_from_slice(&self.identity.layout.to_be_bytes());
        for number in
            [self.segment, self.first_number, self.index_synced, self.oldest_segment, self.created_ms]
        {
            to.extend_from_slice(&number.to_be_bytes());
        }
        to.extend_from_slice(&self.prior.to_be_bytes());
        put_count(&mut to, self.partitions.len());
        self.partitions.iter().for_each(|partition| partition.encode(&mut to));
        finish(to)
    }

    /// Reads a header at the beginning of a segment.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = table("the header of a segment", HEADER_MAGIC, bytes)?;
        let journal = fields.id()?;
        let (topic, cluster) = (fields.text()?.to_owned(), fields.text()?.to_owned());
        let layout = fields.u32()?;
        let (segment, first_number) = (fields.u64()?, fields.u64()?);
        let (index_synced, oldest_segment, created_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let prior = fields.u32()?;
        let count = fields.count(PartitionState::BYTES)?;
        let partitions: Vec<_> =
            (0..count).map(|_| PartitionState::decode(&mut fields)).collect::<Result<_, _>>()?;
        fields.end()?;
        let identity = Identity { topic, cluster, layout, partitions: count as i32 };
        Ok(Self {
            journal,
            identity,
            segment,
            first_number,
            prior,
            index_synced,
            oldest_segment,
            created_ms,
            partitions,
        })
    }
}

impl PartitionState {
    const BYTES: usize = 8 + 16 + 8 + 8 + 4 + 8 + 16;

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.next.to_be_bytes());
        to.extend_from_slice(self.last_id.unwrap_or_default().as_bytes());
        to.extend_from_slice(&self.acknowledged.to_be_bytes());
        to.extend_from_slice(&self.mark.offset.to_be_bytes());
        to.extend_from_slice(&self.mark.epoch.to_be_bytes());
        to.extend_from_slice(&self.mark.next_position.to_be_bytes());
        to.extend_from_slice(self.mark.last_id.unwrap_or_default().as_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        let (next, last_id, acknowledged) = (fields.u64()?, fields.id_or_none()?, fields.u64()?);
        let (offset, epoch) = (fields.i64()?, fields.u32()?);
        let mark = Mark { offset, epoch, next_position: fields.u64()?, last_id: fields.id_or_none()? };
        Ok(Self { next, last_id, acknowledged, mark })
    }
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = prefix(FOOTER_MAGIC);
        let Range { start, end } = self.numbers;
        let numbers =
            [self.segment, start, end, self.last_committed_ms, self.index_synced, self.oldest_segment];
        numbers.iter().for_each(|number| to.extend_from_slice(&number.to_be_bytes()));
        to.extend_from_slice(&self.last_sum.to_be_bytes());
        put_count(&mut to, self.partitions.len());
        for partition in &self.partitions {
            put_count(&mut to, partition.runs.len());
            partition.runs.iter().for_each(|run| run.encode(&mut to));
        }
        put_count(&mut to, self.states.len());
        self.states.iter().for_each(|state| state.encode(&mut to));
        put_count(&mut to, self.keys.len());
        for (hash, block) in &self.keys {
            to.extend_from_slice(hash);
            to.extend_from_slice(&block.to_be_bytes());
        }
        finish(to)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = table("the footer of a segment", FOOTER_MAGIC, bytes)?;
        let segment = fields.u64()?;
        let numbers = fields.u64()?..fields.u64()?;
        let (last_committed_ms, index_synced, oldest_segment) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let last_sum = fields.u32()?;
        let partitions = (0..fields.count(4)?).map(|_| PartitionEvents::decode(&mut fields));
        let partitions = partitions.collect::<Result<_, _>>()?;
        let states = (0..fields.count(PartitionState::BYTES)?).map(|_| PartitionState::decode(&mut fields));
        let states = states.collect::<Result<_, _>>()?;
        let count = fields.count(20)?;
        // No larger than they are: at a start those of all segments lie in memory for a moment.
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            keys.push((fields.array()?, fields.u32()?));
        }
        fields.end()?;
        Ok(Self {
            segment,
            numbers,
            last_sum,
            last_committed_ms,
            index_synced,
            oldest_segment,
            partitions,
            states,
            keys,
        })
    }
}

impl PartitionEvents {
    fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        let mut events = Self::default();
        for _ in 0..fields.count(Run::BYTES)? {
            events.push(Run::decode(fields)?);
        }
        Ok(events)
    }
}

/// The last block of a closed segment: where its footer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) footer_block: u32,
    pub(crate) footer_bytes: u32,
}

impl Trailer {
    pub(crate) fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut to = [0; BLOCK_BYTES];
        to[..4].copy_from_slice(&TRAILER_MAGIC);
        to[4] = VERSION;
        to[8..12].copy_from_slice(&self.footer_block.to_be_bytes());
        to[12..16].copy_from_slice(&self.footer_bytes.to_be_bytes());
        let checksum = crc32c::crc32c(&to[..TRAILER_BYTES - CHECKSUM_BYTES]);
        to[16..TRAILER_BYTES].copy_from_slice(&checksum.to_be_bytes());
        to
    }

    /// None if the block is no trailer: the segment is not closed.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, checksum) = bytes.get(..TRAILER_BYTES)?.split_at(TRAILER_BYTES - CHECKSUM_BYTES);
        let is_whole = checksum == crc32c::crc32c(fields).to_be_bytes();
        if !is_whole || fields[..4] != TRAILER_MAGIC || fields[4] != VERSION {
            return None;
        }
        let mut fields = Fields::of("the trailer of a segment", &fields[8..]);
        Some(Self { footer_block: fields.u32().ok()?, footer_bytes: fields.u32().ok()? })
    }
}

fn prefix(magic: [u8; 4]) -> Vec<u8> {
    let mut to = magic.to_vec();
    to.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
    to
}

/// Writes a table's length into its prefix and its checksum behind it.
fn finish(mut table: Vec<u8>) -> Vec<u8> {
    // Bounded by the records of a segment.
    let bytes = (table.len() + CHECKSUM_BYTES) as u32;
    table[8..PREFIX_BYTES].copy_from_slice(&bytes.to_be_bytes());
    let checksum = crc32c::crc32c(&table);
    table.extend_from_slice(&checksum.to_be_bytes());
    table
}

/// How long the table is that begins with these bytes, as far as that can be told from them.
pub(crate) fn table_bytes(begin: &[u8]) -> Option<usize> {
    let length = begin.get(8..PREFIX_BYTES)?.try_into().ok().map(u32::from_be_bytes)? as usize;
    (length <= TABLE_BYTES_MAX).then_some(length)
}

fn table<'b>(what: &'static str, magic: [u8; 4], bytes: &'b [u8]) -> Result<Fields<'b>, Damaged> {
    let damaged = |why| Damaged { what, why };
    if bytes.get(..4) != Some(&magic[..]) {
        return Err(damaged("it does not begin as one"));
    }
    let length = table_bytes(bytes).filter(|length| *length >= PREFIX_BYTES + CHECKSUM_BYTES);
    let table = length.and_then(|length| bytes.get(..length)).ok_or(damaged("it ends too early"))?;
    let (table, checksum) = table.split_at(table.len() - CHECKSUM_BYTES);
    if checksum != crc32c::crc32c(table).to_be_bytes() {
        return Err(damaged("its checksum does not fit"));
    }
    if table[4] != VERSION {
        return Err(damaged("it is of a version that this program does not know"));
    }
    Ok(Fields::of(what, &table[PREFIX_BYTES..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        let mark = Mark { offset: 12, epoch: 3, next_position: 9, last_id: Some(Uuid::from_u128(4)) };
        let partition = PartitionState { next: 10, last_id: Some(Uuid::from_u128(5)), acknowledged: 9, mark };
        Header {
            journal: Uuid::from_u128(1),
            identity: Identity {
                topic: "users.events".to_owned(),
                cluster: "c".to_owned(),
                layout: 3,
                partitions: 2,
            },
            segment: 4,
            first_number: 100,
            prior: 77,
            index_synced: 90,
            oldest_segment: 2,
            created_ms: 1_795_000_000_000,
            partitions: vec![partition, PartitionState::default()],
        }
    }

    fn footer() -> Footer {
        let mut events = PartitionEvents::default();
        events.push(Run { first: 3, count: 6, bytes: 1_000, block: 1 });
        events.push(Run { first: 9, count: 1, bytes: 30, block: 5 });
        Footer {
            segment: 4,
            numbers: 100..140,
            last_sum: 5,
            last_committed_ms: 6,
            index_synced: 7,
            oldest_segment: 2,
            partitions: vec![events, PartitionEvents::default()],
            states: vec![PartitionState::default()],
            keys: vec![([1; 16], 1), ([2; 16], 5)],
        }
    }

    #[test]
    fn header_footer_and_trailer_are_read_back_as_they_were_written() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        assert_eq!(Footer::decode(&footer().encode()), Ok(footer()));
        let trailer = Trailer { footer_block: 3, footer_bytes: 99 };
        assert_eq!(Trailer::decode(&trailer.encode()), Some(trailer));
    }

    #[test]
    fn no_flipped_bit_of_a_header_footer_or_trailer_goes_unnoticed() {
        let (header, footer) = (header().encode(), footer().encode());
        let trailer = Trailer { footer_block: 3, footer_bytes: 99 }.encode();
        let flipped = |whole: &[u8], bit: usize| {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        for bit in 0..header.len() * 8 {
            assert!(Header::decode(&flipped(&header, bit)).is_err(), "bit {bit}");
        }
        for bit in 0..footer.len() * 8 {
            assert!(Footer::decode(&flipped(&footer, bit)).is_err(), "bit {bit}");
        }
        for bit in 0..TRAILER_BYTES * 8 {
            assert_eq!(Trailer::decode(&flipped(&trailer, bit)), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (Header::decode(&bytes), Footer::decode(&bytes), Trailer::decode(&bytes));
        }
    }
}
