//! What must hold of any text in a request line. Asked by `hostile_input` with random edits, and by the fuzz target, which
//! includes this file.

use daybook_query::limits::PAGE_MAX;
use daybook_query::{cursor, request};
use daybook_service::http::parse_id;

/// Whose cursors the seeds are.
pub(crate) const SCOPE: &str = "/products";

/// A cursor is read only if it is letter by letter what was written; so is a page only if it may be had.
pub(crate) fn cursor(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(place) = cursor::read::<8>(SCOPE, &text) {
        assert_eq!(cursor::write(SCOPE, &place), text);
    }
    if let Ok(place) = cursor::read::<16>(SCOPE, &text) {
        assert_eq!(cursor::write(SCOPE, &place), text);
    }
    written_is_read::<8>(bytes);
    written_is_read::<16>(bytes);
    if let Ok(page) = request::page(Some(&text)) {
        assert!((1..=PAGE_MAX).contains(&page.limit), "{page:?}");
    }
    if let Some(id) = parse_id(&text) {
        assert_eq!(id.to_string(), text, "one id has one spelling");
    }
}

fn written_is_read<const N: usize>(bytes: &[u8]) {
    let Some(place) = bytes.first_chunk::<N>() else { return };
    let text = cursor::write(SCOPE, place);
    assert_eq!(cursor::read::<N>(SCOPE, &text).unwrap(), *place);
    assert!(cursor::read::<N>("/users", &text).is_err(), "a cursor of another path");
}
