//! What is kept under an idempotency key: of which request it was, until when it counts, and what became of the command.
//!
//! | bytes | |
//! | --- | --- |
//! | 16 | fingerprint |
//! | 8 | when it expires, in ms since 1970, big-endian |
//! | 1 | `2`, this format; what begins with 0 or 1 here is the status of an answer from before, see `answered` |
//! | 1 | what the fingerprint is of: `0` the bytes of the request's body, `1` its JSON value |
//! | the rest | the outcome, see `outcome` |

use super::{IdempotencyKey, answered};
use crate::fields::{Damaged, Fields};
use crate::outcome::Outcome;

const FORMAT: u8 = 2;
const OF_BYTES: u8 = 0;
const OF_VALUE: u8 = 1;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) expires_ms: u64,
    pub(crate) outcome: Outcome,
}

/// A hash of everything that makes it the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    /// With the body as it was spelled: as keys were remembered before.
    OfBytes([u8; 16]),
    /// With the body's JSON value.
    OfValue([u8; 16]),
}

impl Fingerprint {
    /// Whether it is that of the request that has this key.
    pub(crate) fn is_of(&self, key: &IdempotencyKey) -> bool {
        match self {
            Self::OfBytes(fingerprint) => *fingerprint == key.before.fingerprint,
            Self::OfValue(fingerprint) => *fingerprint == key.fingerprint,
        }
    }
}

impl Remembered {
    /// What stands before the outcome.
    #[cfg(any(test, fuzzing))]
    pub(crate) const HEAD_BYTES: usize = 26;

    pub(crate) fn encode(fingerprint: Fingerprint, expires_ms: u64, outcome: &Outcome) -> Vec<u8> {
        let (kind, hash) = match fingerprint {
            Fingerprint::OfBytes(hash) => (OF_BYTES, hash),
            Fingerprint::OfValue(hash) => (OF_VALUE, hash),
        };
        let mut value = Vec::with_capacity(512);
        value.extend_from_slice(&hash);
        value.extend_from_slice(&expires_ms.to_be_bytes());
        value.extend_from_slice(&[FORMAT, kind]);
        outcome.encode(&mut value);
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let mut fields = fields(value);
        let (hash, expires_ms) = (fields.array()?, fields.u64()?);
        let [format] = fields.array()?;
        if answered::begins_with(format) {
            let outcome = answered::decode(format, fields)?;
            return Ok(Self { fingerprint: Fingerprint::OfBytes(hash), expires_ms, outcome });
        }
        let fingerprint = match (format, fields.array()?) {
            (FORMAT, [OF_BYTES]) => Fingerprint::OfBytes(hash),
            (FORMAT, [OF_VALUE]) => Fingerprint::OfValue(hash),
            _ => return Err(fields.damaged()),
        };
        let outcome = Outcome::decode(&mut fields)?;
        if fields.is_empty() { Ok(Self { fingerprint, expires_ms, outcome }) } else { Err(fields.damaged()) }
    }
}

fn fields(value: &[u8]) -> Fields<'_> {
    Fields::of("idempotency record", value)
}
