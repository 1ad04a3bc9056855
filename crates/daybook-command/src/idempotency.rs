//! Idempotency keys: what they are hashed to, and which are being worked on. What is remembered of them lies in the journal.

mod answered;
mod fingerprint;
mod remembered;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use fingerprint::RequestParts;
pub(crate) use remembered::{Fingerprint, Remembered};

/// A client's key, and the request that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    /// Hash of the key: all keys have one length in the store.
    pub(crate) hash: [u8; 16],
    /// Hash of method, path, condition and the body's JSON value.
    pub(crate) fingerprint: [u8; 16],
    /// How the same key and request were hashed when answers were kept and not outcomes.
    pub(crate) before: HashesBefore,
}

/// Hashes of a header and a body as they were spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashesBefore {
    /// Of the header's text, with its quotes if it has any.
    pub(crate) hash: [u8; 16],
    /// Of method, path, condition and the body's bytes.
    pub(crate) fingerprint: [u8; 16],
}

impl IdempotencyKey {
    /// The hashes of a key, which the header spelled as `header`, and of its request.
    pub(crate) fn new(key: &str, header: &str, request: &RequestParts<'_>) -> Self {
        let hash = |text: &str| shortened(blake3::hash(text.as_bytes()));
        let before = HashesBefore { hash: hash(header), fingerprint: request.of_bytes() };
        Self { hash: hash(key), fingerprint: request.of_value(), before }
    }
}

fn shortened(hash: blake3::Hash) -> [u8; 16] {
    std::array::from_fn(|index| hash.as_bytes()[index])
}

/// Keys of requests that are being worked on, each with its request's fingerprint. Bounded by the number of requests that
/// may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<[u8; 16], [u8; 16]>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldBy {
    SameRequest,
    OtherRequest,
}

/// Holds a key until the request is answered or given up.
#[derive(Debug)]
pub(crate) struct Held {
    keys: InFlight,
    hash: [u8; 16],
}

impl InFlight {
    /// Takes the key.
    pub(crate) fn hold(&self, key: &IdempotencyKey) -> Result<Held, HeldBy> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.hash) {
            Entry::Vacant(entry) => entry.insert(key.fingerprint),
            Entry::Occupied(entry) if *entry.get() == key.fingerprint => return Err(HeldBy::SameRequest),
            Entry::Occupied(_) => return Err(HeldBy::OtherRequest),
        };
        Ok(Held { keys: self.clone(), hash: key.hash })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.hash);
    }
}
