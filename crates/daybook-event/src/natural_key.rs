//! Ids of what has a name of its own already.

use uuid::Uuid;

/// The namespace of all natural keys: the UUID of version 5 of `urn:daybook:natural-key` in the namespace of URLs.
const NATURAL_KEYS: Uuid = Uuid::from_u128(0xd14f_406f_e131_58fb_a4fb_6074_fa3a_2559);

/// The id of the `kind` of thing that has the natural key `key`, such as the `account` with a certain IBAN: a UUID of version 5
/// (RFC 9562), the same at every time and place. What other programs made of it stays valid, so this never changes.
///
/// Keys count byte by byte: one that may be spelled in several ways is to be brought to one spelling before. The id shows nobody
/// the key, but lets everybody who guesses it see that it is this one.
pub fn natural_key(kind: &str, key: &str) -> Uuid {
    let kind = Uuid::new_v5(&NATURAL_KEYS, kind.as_bytes());
    Uuid::new_v5(&kind, key.as_bytes())
}
