//! One number for all rows of a generation, the same whenever the rows are the same.
//!
//! The digest is the sum, modulo 2^256, of the BLAKE3 hash of every row (its key with its length, then its value).
//! A sum does not depend on the order of its terms, so neither the interleaving of topics nor the order of writes can
//! change it, and one row's hash can be taken away and another added without looking at the rest. Each key occurs once,
//! so equal sums of different rows need a coincidence of 2^-256; a sum is no defence against somebody who *constructs*
//! rows to collide, which whoever can write the store has no need for.

use std::fmt;

/// Sum of the hashes of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    lanes: [u64; 4],
}

impl Digest {
    /// Adds one stored row.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut carry = false;
        for (lane, bytes) in self.lanes.iter_mut().zip(hash(key, value).chunks_exact(8)) {
            let mut term = [0; 8];
            term.copy_from_slice(bytes);
            let (sum, first) = lane.overflowing_add(u64::from_le_bytes(term));
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *lane = sum;
            carry = first || second;
        }
    }
}

fn hash(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    *hasher.finalize().as_bytes()
}

impl fmt::Display for Digest {
    /// 64 hexadecimal digits, highest first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lanes.iter().rev().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[(&[u8], &[u8])]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|(key, value)| digest.add(key, value));
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
        let mut alone = Digest::default();
        digest.add(b"a", b"1");
        alone.add(b"a", b"1");
        // (2^256 - 1) + x is x - 1; the lowest lane of this hash is not 0, so nothing is borrowed.
        assert_eq!(digest.lanes[0], alone.lanes[0] - 1);
        assert_eq!(digest.lanes[1..], alone.lanes[1..]);
    }

    #[test]
    fn is_written_as_64_digits() {
        assert_eq!(Digest { lanes: [1, 0, 0, 0] }.to_string(), format!("{:064}", 1));
    }
}
