//! Idempotency keys: what they are hashed to, and which are being worked on. What is remembered of them lies in the journal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use daybook_event::problem::Problem;
use serde_json::{Number, Value};
use uuid::Uuid;

use crate::command::{Accepted, DependsOn, Outcome, Written, is_json};
use crate::store::fields::{Damaged, Fields};

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

// What is kept under an idempotency key: of which request it was, until when it counts, and what became of the command.
//
// | bytes | |
// | --- | --- |
// | 16 | fingerprint |
// | 8 | when it expires, in ms since 1970, big-endian |
// | 1 | `2`, this format; what begins with 0 or 1 here is the status of an answer from before, see below |
// | 1 | what the fingerprint is of: `0` the bytes of the request's body, `1` its JSON value |
// | the rest | the outcome, see `command` |

const FORMAT: u8 = 2;
const OF_BYTES: u8 = 0;
const OF_VALUE: u8 = 1;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) expires_ms: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    /// With the body as it was spelled: as keys were remembered before.
    OfBytes([u8; 16]),
    /// With the body's JSON value.
    OfValue([u8; 16]),
}

impl Fingerprint {
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
        let mut fields = Fields::of("idempotency record", value);
        let (hash, expires_ms) = (fields.array()?, fields.u64()?);
        let [format] = fields.array()?;
        if begins_as_answer(format) {
            let outcome = decode_answer(format, fields)?;
            return Ok(Self { fingerprint: Fingerprint::OfBytes(hash), expires_ms, outcome });
        }
        let fingerprint = match (format, fields.array()?) {
            (FORMAT, [OF_BYTES]) => Fingerprint::OfBytes(hash),
            (FORMAT, [OF_VALUE]) => Fingerprint::OfValue(hash),
            _ => return Err(Damaged::of(&fields)),
        };
        let outcome = Outcome::decode(&mut fields)?;
        if fields.is_empty() {
            Ok(Self { fingerprint, expires_ms, outcome })
        } else {
            Err(Damaged::of(&fields))
        }
    }
}

// Answers as they were kept under idempotency keys before outcomes were: read only, and as outcomes.
//
// Status, version, `Location`, positions written, dependencies, body; big-endian, the body up to the end. An answer that
// showed no version, as that to a deletion, has none, which stays unknown. The key outlives the program that wrote it by
// `--idempotency-age-s-max` at most; then nothing needs this any more.

/// Whether a record that begins so is an answer: its status is below 512.
pub(crate) fn begins_as_answer(first: u8) -> bool {
    first < 2
}

pub(crate) fn decode_answer(first: u8, mut fields: Fields<'_>) -> Result<Outcome, Damaged> {
    let [second] = fields.array()?;
    let status = u16::from_be_bytes([first, second]);
    let damaged = Damaged::of(&fields);
    let version = fields.u64()?;
    let created = created(fields.text()?).ok_or_else(|| damaged.clone())?;
    let written = (0..fields.u16()?).map(|_| written(&mut fields)).collect::<Result<_, _>>()?;
    let depends_on = (0..fields.u16()?).map(|_| depends_on(&mut fields)).collect::<Result<_, _>>()?;
    let body = fields.rest();
    match status {
        200..=299 => {
            let state = Some(body.to_vec()).filter(|body| !body.is_empty());
            let is_readable = state.as_ref().is_none_or(|state| is_json(state));
            let accepted = Accepted { version, created, state, written, depends_on, stands_at: None };
            is_readable.then_some(Outcome::Accepted(accepted)).ok_or(damaged)
        }
        400.. => problem(status, body).map(Outcome::Rejected).ok_or(damaged),
        _ => Err(damaged),
    }
}

fn problem(status: u16, body: &[u8]) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let named = Problem::new(status, problem.slug(), problem.title.clone(), problem.detail.clone());
    let is_one = problem.status == status && problem.kind != problem.slug();
    is_one.then_some(Problem { extensions: problem.extensions, ..named })
}

/// What a `Location` names; none if it cannot have been one.
fn created(location: &str) -> Option<Option<Uuid>> {
    if location.is_empty() {
        return Some(None);
    }
    let (_, id) = location.rsplit_once('/')?;
    Uuid::try_parse(id).ok().map(Some)
}

fn depends_on(fields: &mut Fields<'_>) -> Result<DependsOn, Damaged> {
    Ok(DependsOn { table: fields.u16()?, at: written(fields)? })
}

fn written(fields: &mut Fields<'_>) -> Result<Written, Damaged> {
    let partition = i32::try_from(fields.u32()?).map_err(|_| Damaged::of(fields))?;
    Ok(Written { partition, position: fields.u64()? })
}

// What makes two requests one: method, path, condition and the JSON value of the body, whatever its spelling.
//
// Two bodies have one value if they differ in white space, in the order of members, in escapes, or in how a number is
// written: `1`, `1.0` and `1e0` are one number. The fingerprint is kept on disk, so its making is a format.

/// What a request consists of, besides its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestParts<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) condition: &'a [u8],
    /// As it was sent; empty if there was none.
    pub(crate) body: &'a [u8],
}

impl RequestParts<'_> {
    /// Hash with the value of the body.
    pub(crate) fn of_value(&self) -> [u8; 16] {
        match serde_json::from_slice(self.body) {
            Ok(value) => self.hash(&canonical(&value)),
            // No body, or one that no command can be read from.
            Err(_) => self.of_bytes(),
        }
    }

    /// Hash with the body as it was spelled: what was kept before.
    pub(crate) fn of_bytes(&self) -> [u8; 16] {
        self.hash(self.body)
    }

    fn hash(&self, body: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        for part in [self.method.as_bytes(), self.path.as_bytes(), self.condition, body] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        shortened(hasher.finalize())
    }
}

/// The same bytes for the same value, and for no other one.
fn canonical(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, value);
    bytes
}

fn put(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => to.push(b'n'),
        Value::Bool(value) => to.push(if *value { b't' } else { b'f' }),
        Value::Number(number) => put_number(to, number),
        Value::String(text) => put_text(to, text),
        Value::Array(items) => {
            put_head(to, b'[', items.len());
            items.iter().for_each(|item| put(to, item));
        }
        Value::Object(members) => {
            put_head(to, b'{', members.len());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in members {
                put_text(to, name);
                put(to, value);
            }
        }
    }
}

fn put_head(to: &mut Vec<u8>, kind: u8, count: usize) {
    to.push(kind);
    to.extend_from_slice(&(count as u64).to_be_bytes());
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_head(to, b'"', text.len());
    to.extend_from_slice(text.as_bytes());
}

fn put_number(to: &mut Vec<u8>, number: &Number) {
    if let Some(whole) = whole(number) {
        to.push(b'i');
        to.extend_from_slice(&whole.to_be_bytes());
    } else {
        to.push(b'd');
        // Every number that is read is one of these three; there is no fourth.
        to.extend_from_slice(&number.as_f64().unwrap_or(f64::NAN).to_bits().to_be_bytes());
    }
}

/// The number, if it is a whole one of 64 bits and sign, in whatever way it is written.
fn whole(number: &Number) -> Option<i128> {
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= u64::MAX as f64);
    // Exact: a whole float of this size has its digits in 128 bits.
    integer.or_else(|| float().map(|float| float as i128))
}
