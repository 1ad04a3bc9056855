//! What derived code is made of. Not for anybody else: it changes with the derives.

use std::marker::PhantomData;

pub use serde;
pub use serde_json;
pub use serde_json::value::{RawValue, to_raw_value};
pub use uuid::Uuid;

use serde::{Deserialize, Deserializer};

use crate::canonical::{Cursor, Value};

/// The key; a field that is none does not compile.
#[inline]
pub fn key(key: &Uuid) -> Uuid {
    *key
}

/// A field that must be there, if only as null.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::deserialize(from)
}

/// Reads a `T` in canonical form. Without [`AnyForm`] in scope it must be a [`Value`].
#[derive(Debug)]
pub struct Canonical<T>(PhantomData<T>);

impl<T: Value> Canonical<T> {
    /// As the type reads itself.
    #[inline(always)]
    pub fn read(at: &mut Cursor<'_>) -> Option<T> {
        T::read(at)
    }
}

/// For types that have no canonical form: the parser reads them.
pub trait AnyForm<T> {
    /// Nothing.
    #[inline(always)]
    fn read(_: &mut Cursor<'_>) -> Option<T> {
        None
    }
}

impl<T> AnyForm<T> for Canonical<T> {}

/// `lists` in one, which has `N` members.
///
/// # Panics
/// While it is compiled, if it has another number of members.
pub const fn joined<T: Copy, const N: usize>(lists: &[&[T]]) -> [T; N] {
    let mut first = 0;
    while lists[first].is_empty() {
        first += 1;
    }
    let mut joined = [lists[first][0]; N];
    let (mut list, mut count) = (0, 0);
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            joined[count] = lists[list][index];
            (count, index) = (count + 1, index + 1);
        }
        list += 1;
    }
    assert!(count == N, "as many as the lists have together");
    joined
}

/// Whether no text begins with another one of them.
pub const fn are_apart(texts: &[&str]) -> bool {
    let mut one = 0;
    while one < texts.len() {
        let mut other = 0;
        while other < texts.len() {
            if one != other && begins_with(texts[one].as_bytes(), texts[other].as_bytes()) {
                return false;
            }
            other += 1;
        }
        one += 1;
    }
    true
}

const fn begins_with(text: &[u8], start: &[u8]) -> bool {
    let mut index = 0;
    while index < start.len() {
        if index == text.len() || text[index] != start[index] {
            return false;
        }
        index += 1;
    }
    true
}
