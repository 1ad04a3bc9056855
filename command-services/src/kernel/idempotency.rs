//! Idempotency keys: what they are hashed to, which are being worked on, and when they expire.

mod forgetter;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::command::IdempotencyKey;
use super::keys;
pub(crate) use forgetter::Forgetter;

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
