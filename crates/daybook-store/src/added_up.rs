//! The digest of all rows of a store: kept in a row of its own, and added up at each opening.
//!
//! At an opening sled 0.34 takes a record of its log whose checksum is wrong for the end of its segment, and goes on with the
//! next one. Rows that were written there are older or gone, and sled says nothing. Each batch has the digest of what it leaves
//! behind, so rows that are not of one time do not add up to it.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread;

use crate::digest::{Digest, RowHash};

/// Key of the row that has the digest of all others. No other row's key begins with this byte.
pub(crate) const KEY: &[u8] = b"D";
/// Most threads that add up, however many processors there are. Each takes all keys that begin with one byte, and most keys
/// begin with one of two.
const THREADS_MAX: usize = 2;
/// After so many rows a thread tells how many have been added up.
const TOLD_ROWS: u64 = 1 << 16;

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

/// Adds up all rows but the digest's own, and tells now and then how many they are so far. `rows_of` gives those whose keys begin
/// with a byte; no key is empty.
pub(crate) fn add_up<B, E, R>(rows_of: impl Fn(u8) -> R + Sync, tell: &(dyn Fn(u64) + Sync)) -> Result<Sum, E>
where
    B: AsRef<[u8]>,
    E: Send,
    R: Iterator<Item = Result<(B, B), E>>,
{
    let (next, told) = (AtomicU16::new(0), AtomicU64::new(0));
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
                if sum.rows.is_multiple_of(TOLD_ROWS) {
                    tell(told.fetch_add(TOLD_ROWS, Ordering::SeqCst) + TOLD_ROWS);
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
    use std::convert::Infallible;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn how_many_rows_were_added_up_is_told_on_the_way() {
        let told = Mutex::new(Vec::new());
        let rows_of = |first: u8| {
            let rows = if first == b'A' { 3 * TOLD_ROWS + 7 } else { 1 };
            (0..rows).map(move |row| {
                Ok::<_, Infallible>(([&[first][..], &row.to_be_bytes()].concat(), Vec::new()))
            })
        };
        let sum = add_up(rows_of, &|rows| told.lock().unwrap().push(rows)).unwrap();
        assert_eq!(sum.rows, 3 * TOLD_ROWS + 7 + 255);
        assert_eq!(*told.lock().unwrap(), [1, 2, 3].map(|part| part * TOLD_ROWS));
    }
}
