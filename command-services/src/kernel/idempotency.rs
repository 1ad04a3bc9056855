//! Idempotency keys: what they are hashed to, which are being worked on, and when they are forgotten.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::command::IdempotencyKey;
use super::group::GroupError;
use super::keys;
use super::rows::{Remembered, decode_hashes};
use super::store::{Store, Writes};

/// Expiry rows looked at with one commit. One commit makes at most one, so this forgets faster than keys can come.
const EXPIRY_ROWS_MAX: usize = 4;

/// The hashes under which a key and its request are kept.
///
/// `parts` are method, path, condition and body: everything that makes it the same request.
pub(crate) fn hashes(key: &str, parts: &[&[u8]]) -> IdempotencyKey {
    let mut fingerprint = blake3::Hasher::new();
    for part in parts {
        fingerprint.update(&(part.len() as u64).to_be_bytes());
        fingerprint.update(part);
    }
    IdempotencyKey {
        hash: shortened(blake3::hash(key.as_bytes())),
        fingerprint: shortened(fingerprint.finalize()),
    }
}

fn shortened(hash: blake3::Hash) -> [u8; 16] {
    std::array::from_fn(|index| hash.as_bytes()[index])
}

/// Keys of requests that are being worked on. Bounded by the number of requests that may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<[u8; 16]>>>);

/// Holds a key until the request is answered or given up.
#[derive(Debug)]
pub(crate) struct Held {
    keys: InFlight,
    hash: [u8; 16],
}

impl InFlight {
    /// Takes the key; none if another request has it.
    pub(crate) fn hold(&self, hash: [u8; 16]) -> Option<Held> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
        taken.then(|| Held { keys: self.clone(), hash })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.hash);
    }
}

/// Keys that one commit remembers, which expire together.
#[derive(Debug, Default)]
pub(crate) struct Expiring {
    expires_ms: u64,
    hashes: Vec<[u8; 16]>,
}

impl Expiring {
    pub(crate) fn add(&mut self, expires_ms: u64, hash: [u8; 16]) {
        self.expires_ms = expires_ms;
        self.hashes.push(hash);
    }

    /// The row that finds them again when they have expired.
    pub(crate) fn row(&self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let first = self.hashes.first()?;
        Some((keys::expiry(self.expires_ms, first), Some(self.hashes.concat())))
    }
}

/// Forgets keys that have expired, a few with each commit.
#[derive(Debug, Default)]
pub(crate) struct Forgetter {
    /// Before this time nothing expires.
    look_again_ms: u64,
}

impl Forgetter {
    /// The writes that forget some of what has expired at `now_ms`. Keys that are remembered from now on expire after
    /// `age_max_ms`.
    pub(crate) fn expired(
        &mut self,
        store: &Store,
        now_ms: u64,
        age_max_ms: u64,
    ) -> Result<Writes, GroupError> {
        if now_ms < self.look_again_ms {
            return Ok(Writes::new());
        }
        let mut writes = Writes::new();
        let rows = store.scan(&keys::expiries(), EXPIRY_ROWS_MAX)?;
        self.look_again_ms =
            if rows.len() < EXPIRY_ROWS_MAX { now_ms.saturating_add(age_max_ms) } else { now_ms };
        for (row, hashes) in rows {
            let expires_ms = keys::expires_ms(&row);
            if expires_ms > now_ms {
                self.look_again_ms = expires_ms;
                break;
            }
            forget(store, now_ms, &hashes, &mut writes)?;
            writes.push((row.to_vec(), None));
        }
        Ok(writes)
    }
}

fn forget(store: &Store, now_ms: u64, hashes: &[u8], writes: &mut Writes) -> Result<(), GroupError> {
    for hash in decode_hashes(hashes)? {
        let key = keys::idempotency(&hash);
        // A key that was used again since expires later, by another row.
        let expired = match store.get(&key)? {
            Some(value) => Remembered::decode(&value)?.expires_ms <= now_ms,
            None => false,
        };
        writes.extend(expired.then_some((key, None)));
    }
    Ok(())
}
