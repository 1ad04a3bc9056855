//! One number for all rows of a store, the same whenever the rows are the same.
//!
//! The digest is the sum, modulo 2^256, of the BLAKE3 hash of every row (its key with its length, then its value).
//! A sum does not depend on the order of its terms, so neither the interleaving of topics nor the order of writes can
//! change it, and one row's hash can be taken away and another added without looking at the rest: it is kept up to date
//! with every write. (The construction is AdHash, of Bellare and Micciancio, 1997.) Each key occurs once, so equal sums
//! of different rows need a coincidence of 2^-256; a sum is no defence against rows that are *constructed* to collide, which
//! one who can write the store has no need for.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::{fmt, thread};

const LANES: usize = 4;
/// Bytes of a digest as it is stored.
pub const BYTES: usize = LANES * size_of::<u64>();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHash([u64; LANES]);

impl RowHash {
    pub fn of(key: &[u8], value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
        Self(lanes(hasher.finalize().as_bytes()))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    lanes: [u64; LANES],
}

impl Digest {
    pub fn add(&mut self, row: RowHash) {
        let mut carry = false;
        for (lane, term) in self.lanes.iter_mut().zip(row.0) {
            (*lane, carry) = carrying_add(*lane, term, carry);
        }
    }

    pub fn remove(&mut self, row: RowHash) {
        // x - y is x + !y + 1.
        let mut carry = true;
        for (lane, term) in self.lanes.iter_mut().zip(row.0) {
            (*lane, carry) = carrying_add(*lane, !term, carry);
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.add(RowHash(other.lanes));
    }

    /// As it is stored: lowest byte first.
    pub fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (to, lane) in bytes.chunks_exact_mut(size_of::<u64>()).zip(self.lanes) {
            to.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }

    /// What was stored.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        Self { lanes: lanes(bytes) }
    }
}

fn carrying_add(lane: u64, term: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = lane.overflowing_add(term);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

fn lanes(bytes: &[u8; BYTES]) -> [u64; LANES] {
    let mut lanes = [0; LANES];
    for (lane, chunk) in lanes.iter_mut().zip(bytes.chunks_exact(size_of::<u64>())) {
        let mut term = [0; size_of::<u64>()];
        term.copy_from_slice(chunk);
        *lane = u64::from_le_bytes(term);
    }
    lanes
}

impl fmt::Display for Digest {
    /// 64 hexadecimal digits, highest first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lanes.iter().rev().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.as_bytes();
        if digits.len() != 2 * BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NoDigest);
        }
        let mut lanes = [0; LANES];
        for (index, lane) in lanes.iter_mut().rev().enumerate() {
            *lane = u64::from_str_radix(&text[index * 16..(index + 1) * 16], 16).map_err(|_| NoDigest)?;
        }
        Ok(Self { lanes })
    }
}

// At an opening sled 0.34 takes a record of its log whose checksum is wrong for the end of its segment, and continues with the
// next one. Rows that were written there are older or gone, and sled says nothing. Each batch has the digest of what it leaves
// behind, so rows that are not of one time do not add up to it.

/// Key of the row that has the digest of all others. No other row's key begins with this byte.
pub(crate) const KEY: &[u8] = b"D";
/// Most threads that add up, however many processors there are. Each takes all keys that begin with one byte, and most keys
/// begin with one of two.
const THREADS_MAX: usize = 2;
/// After so many rows a thread reports how many have been added up.
const REPORTED_ROWS: u64 = 1 << 16;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) digest: Digest,
    pub(crate) rows: u64,
}

pub(crate) fn change(digest: &mut Digest, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
    if let Some(before) = before {
        digest.remove(RowHash::of(key, before));
    }
    if let Some(after) = after {
        digest.add(RowHash::of(key, after));
    }
}

/// Adds up all rows but the digest's own, and reports now and then how many they are so far. `rows_of` gives those whose keys begin
/// with a byte; no key is empty.
pub(crate) fn add_up<B, E, R>(
    rows_of: impl Fn(u8) -> R + Sync,
    report: &(dyn Fn(u64) + Sync),
) -> Result<Sum, E>
where
    B: AsRef<[u8]>,
    E: Send,
    R: Iterator<Item = Result<(B, B), E>>,
{
    let (next, reported) = (AtomicU16::new(0), AtomicU64::new(0));
    let worker = || {
        let mut sum = Sum::default();
        while let Ok(first) = u8::try_from(next.fetch_add(1, Ordering::SeqCst)) {
            for row in rows_of(first) {
                let (key, value) = row?;
                if key.as_ref() == KEY {
                    continue;
                }
                sum.digest.add(RowHash::of(key.as_ref(), value.as_ref()));
                sum.rows += 1;
                if sum.rows.is_multiple_of(REPORTED_ROWS) {
                    report(reported.fetch_add(REPORTED_ROWS, Ordering::SeqCst) + REPORTED_ROWS);
                }
            }
        }
        Ok(sum)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // One that the system does not give is done without.
        let spawned = (1..cores.min(THREADS_MAX)).map(|_| thread::Builder::new().spawn_scoped(scope, worker));
        let others: Vec<_> = spawned.filter_map(Result::ok).collect();
        let own = worker();
        // An error says more than a panic that comes of the same.
        let others: Vec<_> = others.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let mut sum: Sum = own?;
        for other in others {
            let other: Sum = other.unwrap_or_else(|panic| resume_unwind(panic))?;
            sum.digest.merge(other.digest);
            sum.rows += other.rows;
        }
        Ok(sum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[(&[u8], &[u8])]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|(key, value)| digest.add(RowHash::of(key, value)));
        digest
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let rows = digest(&[(b"a", b"1"), (b"b", b"2")]);
        assert_eq!(rows, digest(&[(b"b", b"2"), (b"a", b"1")]));
        assert_ne!(rows, digest(&[(b"a", b"2"), (b"b", b"1")]));
        assert_ne!(rows, digest(&[(b"a", b"1")]));
        assert_ne!(digest(&[(b"ab", b"c")]), digest(&[(b"a", b"bc")]));
    }

    #[test]
    fn carries_run_through_all_lanes() {
        let mut digest = Digest { lanes: [u64::MAX; 4] };
        let one = RowHash([1, 0, 0, 0]);
        digest.add(one);
        assert_eq!(digest.lanes, [0; 4]);
        digest.remove(one);
        assert_eq!(digest.lanes, [u64::MAX; 4]);
    }

    #[test]
    fn a_row_taken_away_was_never_there() {
        let mut rows = digest(&[(b"a", b"1"), (b"b", b"2")]);
        rows.remove(RowHash::of(b"b", b"2"));
        assert_eq!(rows, digest(&[(b"a", b"1")]));
        let mut halves = digest(&[(b"c", b"3")]);
        halves.merge(rows);
        assert_eq!(halves, digest(&[(b"a", b"1"), (b"c", b"3")]));
    }

    #[test]
    fn is_written_as_64_digits_and_read_again() {
        let one = Digest { lanes: [1, 0, 0, 0] };
        assert_eq!(one.to_string(), format!("{:064}", 1));
        let some = digest(&[(b"a", b"1")]);
        assert_eq!(some.to_string().parse(), Ok(some));
        assert_eq!(Digest::from_bytes(&some.to_bytes()), some);
        for wrong in ["", "1", &"g".repeat(64), &"ä".repeat(32)] {
            assert_eq!(wrong.parse::<Digest>(), Err(NoDigest));
        }
    }
}

#[cfg(test)]
mod added_up_tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn how_many_rows_were_added_up_is_reported_on_the_way() {
        let reported = Mutex::new(Vec::new());
        let rows_of = |first: u8| {
            let rows = if first == b'A' { 3 * REPORTED_ROWS + 7 } else { 1 };
            (0..rows).map(move |row| {
                Ok::<_, Infallible>(([&[first][..], &row.to_be_bytes()].concat(), Vec::new()))
            })
        };
        let sum = add_up(rows_of, &|rows| reported.lock().unwrap().push(rows)).unwrap();
        assert_eq!(sum.rows, 3 * REPORTED_ROWS + 7 + 255);
        assert_eq!(*reported.lock().unwrap(), [1, 2, 3].map(|part| part * REPORTED_ROWS));
    }
}
