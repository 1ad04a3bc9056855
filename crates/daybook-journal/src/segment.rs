//! What a segment begins with: its header. And what header and footer have in common. Pure.

use uuid::Uuid;

use crate::fields::{Damaged, Fields, put_bytes, put_count};

const HEADER_MAGIC: [u8; 4] = *b"DBJs";
pub(crate) const VERSION: u8 = 1;
/// Magic, version and three zeros, length.
const PREFIX_BYTES: usize = 12;
pub(crate) const CHECKSUM_BYTES: usize = 4;
/// Largest header or footer that is believed: more than any segment needs.
const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub topic: String,
    /// Id of the Kafka cluster; empty if it is not known.
    pub cluster: String,
    /// Version of keys and values of the index.
    pub layout: u32,
    pub partitions: i32,
}

impl Identity {
    /// Whether a process that is `other` may continue a journal of `self`: of one topic with as many partitions, and of the
    /// same layout or an earlier one. Whether the cluster may be another one, and what an earlier layout asks for, is for the
    /// caller to judge; a journal that is continued has cluster and layout of the process that began with it last.
    pub(crate) fn may_become(&self, other: &Self) -> bool {
        let Self { topic, cluster: _, layout, partitions } = self;
        (topic, partitions) == (&other.topic, &other.partitions) && *layout <= other.layout
    }
}

/// Where in the log the event lies that was marked last as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Kafka's offset right behind that event.
    pub offset: i64,
    /// The epoch in force there.
    pub epoch: u32,
    pub next_position: u64,
    pub last_id: Option<Uuid>,
}

/// Where one partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionState {
    pub next: u64,
    pub last_id: Option<Uuid>,
    /// Positions that Kafka has acknowledged, as far as it was known.
    pub acknowledged: u64,
    /// The event that was marked last.
    pub mark: Mark,
}

/// What a segment begins with: enough to continue from here if nothing older is left.
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
    pub(crate) created_ms: u64,
    /// Where each partition stands at the segment's beginning: behind the record before it, or behind what the log had
    /// more than that.
    pub(crate) partitions: Vec<PartitionState>,
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
    pub(crate) const BYTES: usize = 8 + 16 + 8 + 8 + 4 + 8 + 16;

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.next.to_be_bytes());
        to.extend_from_slice(self.last_id.unwrap_or_default().as_bytes());
        to.extend_from_slice(&self.acknowledged.to_be_bytes());
        to.extend_from_slice(&self.mark.offset.to_be_bytes());
        to.extend_from_slice(&self.mark.epoch.to_be_bytes());
        to.extend_from_slice(&self.mark.next_position.to_be_bytes());
        to.extend_from_slice(self.mark.last_id.unwrap_or_default().as_bytes());
    }

    pub(crate) fn decode(fields: &mut Fields<'_>) -> Result<Self, Damaged> {
        let (next, last_id, acknowledged) = (fields.u64()?, fields.id_or_none()?, fields.u64()?);
        let (offset, epoch) = (fields.i64()?, fields.u32()?);
        let mark = Mark { offset, epoch, next_position: fields.u64()?, last_id: fields.id_or_none()? };
        Ok(Self { next, last_id, acknowledged, mark })
    }
}

pub(crate) fn prefix(magic: [u8; 4]) -> Vec<u8> {
    let mut to = magic.to_vec();
    to.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
    to
}

/// Writes a table's length into its prefix and its checksum behind it.
pub(crate) fn finish(mut table: Vec<u8>) -> Vec<u8> {
    // Bounded by the records of a segment.
    let bytes = (table.len() + CHECKSUM_BYTES) as u32;
    table[8..PREFIX_BYTES].copy_from_slice(&bytes.to_be_bytes());
    let checksum = crc32c::crc32c(&table);
    table.extend_from_slice(&checksum.to_be_bytes());
    table
}

/// How long the table is that begins with these bytes, as far as that is known from them.
pub(crate) fn table_bytes(begin: &[u8]) -> Option<usize> {
    let length = begin.get(8..PREFIX_BYTES)?.try_into().ok().map(u32::from_be_bytes)? as usize;
    (length <= TABLE_BYTES_MAX).then_some(length)
}

pub(crate) fn table<'b>(what: &'static str, magic: [u8; 4], bytes: &'b [u8]) -> Result<Fields<'b>, Damaged> {
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

    #[test]
    fn a_header_is_read_back_as_it_was_written() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn no_flipped_bit_of_a_header_goes_unnoticed() {
        let whole = header().encode();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Header::decode(&bytes);
        }
    }
}
