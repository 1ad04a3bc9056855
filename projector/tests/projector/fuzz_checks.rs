//! What must hold of the bytes of a row or a change, whoever wrote them. Asked by `hostile_input` with random edits, and
//! by the fuzz target, which includes this file.

use daybook_projection::View;
use daybook_projection::codec::RowReader;
use projector::orders::Orders;
use projector::products::Products;
use projector::users::Users;

/// No view panics; what a view reads, it writes in the one form that it has.
pub(crate) fn row(bytes: &[u8]) {
    read_by::<Products>(bytes);
    read_by::<Users>(bytes);
    read_by::<Orders>(bytes);
    fields(bytes);
}

/// Whether some view has written such a row or change.
pub(crate) fn is_of_a_view(bytes: &[u8]) -> bool {
    read_by::<Products>(bytes) || read_by::<Users>(bytes) || read_by::<Orders>(bytes)
}

fn read_by<V: View>(bytes: &[u8]) -> bool {
    let row = V::decode(bytes).map(|row| {
        let encoded = put(|to| V::encode(&row, to).unwrap());
        let again = V::decode(&encoded).unwrap();
        assert_eq!(put(|to| V::encode(&again, to).unwrap()), encoded, "{}", V::NAME);
        let _ = V::heap_bytes(&row);
    });
    let change = V::read_change(bytes).map(|change| {
        let encoded = put(|to| V::put_change(&change, to).unwrap());
        let again = V::read_change(&encoded).unwrap();
        assert_eq!(put(|to| V::put_change(&again, to).unwrap()), encoded, "{}", V::NAME);
    });
    row.is_ok() || change.is_ok()
}

fn put(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

/// Each byte says what is asked for next.
fn fields(bytes: &[u8]) {
    let mut reader = RowReader::new(bytes);
    while let Ok(kind) = reader.byte("kind") {
        let read = match kind % 6 {
            0 => reader.varint("field").map(drop),
            1 => reader.signed("field").map(drop),
            2 => reader.text("field").map(drop),
            3 => reader.uuid("field").map(drop),
            4 => reader.number::<u32>("field").map(drop),
            _ => reader.take(usize::from(kind), "field").map(drop),
        };
        if read.is_err() {
            return;
        }
    }
    assert!(reader.is_at_end());
}
