//! How much a reader fetches ahead, and what librdkafka has to be told for it.
//!
//! Small answers and short queues are also the fast ones: what was just decompressed is read while it still lies in the
//! processor's cache. Bigger ones only take memory as soon as the records' user is slower than the network.

/// A bound on what a reader holds fetched and unread; see [`crate::Reader::open_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchAhead {
    /// Over all partitions, decompressed, with what librdkafka needs around each record. Not exact: a partition's queue
    /// holds at least what one answer brings, and an answer at least one batch as it was written, so that a reader of
    /// many partitions may need more than a small bound.
    pub bytes_max: usize,
}

impl Default for FetchAhead {
    /// 64 MiB.
    fn default() -> FetchAhead {
        FetchAhead { bytes_max: 64 << 20 }
    }
}

/// What one answer may hold of one partition, compressed. Below the least, most answers end inside a batch, whose
/// beginning was then read and sent in vain; above the most, nothing is gained any more.
const FETCH_PARTITION_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=256 << 10;
/// What one answer of one broker may hold of all partitions, compressed.
const FETCH_RESPONSE_BYTES_MAX: usize = 4 << 20;
/// A queue is filled again when it is below its bound, by one answer: below this it would run empty in between.
const QUEUED_PARTITION_KBYTES_MIN: usize = 256;
/// The greatest that librdkafka takes.
const QUEUED_KBYTES_LIMIT: usize = 2_097_151;
/// The share of a partition's memory that its queue's bound may name. librdkafka counts keys and values only, in a queue
/// that an answer overshoots: events of some hundred bytes were measured to need four times as much.
const QUEUED_SHARE: usize = 4;
/// The share of a partition's memory that an answer may have; decompressed it is about six times as big.
const FETCH_SHARE: usize = 32;

impl FetchAhead {
    /// librdkafka's options for a reader of so many partitions, each with a queue of its own, to which librdkafka's
    /// bound applies.
    pub(crate) fn options(self, sources: usize) -> [(&'static str, String); 3] {
        let share = self.bytes_max / sources.max(1);
        let fetch_bytes =
            (share / FETCH_SHARE).clamp(*FETCH_PARTITION_BYTES.start(), *FETCH_PARTITION_BYTES.end());
        let queued_kbytes = ((share / QUEUED_SHARE) >> 10).max(QUEUED_PARTITION_KBYTES_MIN);
        [
            ("fetch.message.max.bytes", fetch_bytes.to_string()),
            ("fetch.max.bytes", FETCH_RESPONSE_BYTES_MAX.to_string()),
            ("queued.max.messages.kbytes", queued_kbytes.min(QUEUED_KBYTES_LIMIT).to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(bytes_max: usize, sources: usize) -> [usize; 3] {
        FetchAhead { bytes_max }.options(sources).map(|(_, value)| value.parse().unwrap())
    }

    #[test]
    fn the_bound_is_shared_by_all_partitions() {
        assert_eq!(options(64 << 20, 16), [128 << 10, 4 << 20, 1 << 10]);
        assert_eq!(options(32 << 20, 8), [128 << 10, 4 << 20, 1 << 10]);
    }

    #[test]
    fn no_bound_is_too_small_or_too_great_for_librdkafka() {
        assert_eq!(options(0, 18), [64 << 10, 4 << 20, 256]);
        assert_eq!(options(1 << 20, 10_000), [64 << 10, 4 << 20, 256]);
        assert_eq!(options(usize::MAX, 0), [256 << 10, 4 << 20, QUEUED_KBYTES_LIMIT]);
    }
}
