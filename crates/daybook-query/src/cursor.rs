//! Cursors: where the next page begins, as text that only this service reads.
//!
//! A cursor names a place that does not move while others write (an index in an append-only order, a position, a key),
//! and carries a check of what it is a cursor *of*, so that one of another user or endpoint is refused instead of
//! answering with some other page.

use daybook_service::http::ApiError;

pub const PARAMETER: &str = "cursor";
const CHECK_BYTES: usize = 4;

pub fn write(scope: &str, place: &[u8]) -> String {
    hex::encode([place, &check(scope, place)].concat())
}

/// Reads a cursor that [`write()`] wrote for the same scope.
/// Errors: 400 for anything else.
pub fn read<const N: usize>(scope: &str, text: &str) -> Result<[u8; N], ApiError> {
    decoded(text)
        .as_deref()
        .and_then(|bytes| bytes.split_last_chunk::<CHECK_BYTES>())
        .and_then(|(place, found)| (*found == check(scope, place)).then(|| place.try_into().ok()).flatten())
        .ok_or_else(|| {
            ApiError::parameter(PARAMETER, "cursor is not one that this path gave; leave it out to begin")
        })
}

fn check(scope: &str, place: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(scope.as_bytes()).update(&[0]).update(place);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

/// Longer text is no cursor of ours: a UUID and the check.
const TEXT_CHARS_MAX: usize = 2 * (16 + CHECK_BYTES);

fn decoded(text: &str) -> Option<Vec<u8>> {
    // One place has one text: in small letters.
    let is_ours = text.len() <= TEXT_CHARS_MAX && !text.bytes().any(|digit| digit.is_ascii_uppercase());
    hex::decode(text).ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_only_within_its_scope() {
        let text = write("/users/1/orders", &7u64.to_be_bytes());
        assert_eq!(read::<8>("/users/1/orders", &text).unwrap(), 7u64.to_be_bytes());
        for (scope, text) in [
            ("/users/2/orders", text.as_str()),
            ("/users/1/products", &text),
            ("/users/1/orders", &text.to_uppercase()),
            ("/users/1/orders", &text[2..]),
            ("/users/1/orders", &text[..text.len() - 1]),
            ("/users/1/orders", &format!("{text}0")),
            ("/users/1/orders", ""),
            ("/users/1/orders", "ä"),
            ("/users/1/orders", &"0".repeat(1_000_000)),
        ] {
            assert!(read::<8>(scope, text).is_err(), "{scope} {text:.80}");
        }
        assert!(read::<16>("/users/1/orders", &text).is_err(), "of another size");
    }
}
