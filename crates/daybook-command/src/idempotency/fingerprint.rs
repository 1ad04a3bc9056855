//! What makes two requests one: method, path, condition and the JSON value of the body, whatever its spelling.
//!
//! Two bodies have one value if they differ in white space, in the order of members, in escapes, or in how a number is
//! written: `1`, `1.0` and `1e0` are one number. The fingerprint is kept on disk, so its making is a format.

use serde_json::{Number, Value};

use super::shortened;

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
    pub(super) fn of_value(&self) -> [u8; 16] {
        match serde_json::from_slice(self.body) {
            Ok(value) => self.hash(&canonical(&value)),
            // No body, or one that no command can be read from.
            Err(_) => self.of_bytes(),
        }
    }

    /// Hash with the body as it was spelled: what was kept before.
    pub(super) fn of_bytes(&self) -> [u8; 16] {
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
