//! The bytes of rows and changes whose view has no format of its own: those of postcard, by way of serde.
//!
//! They are stable, small (numbers of variable length, no names), and equal for equal values whose type writes them in one order,
//! as structs, enums, lists and maps that are sorted do.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::RowError;

#[inline]
pub(crate) fn put<T: Serialize>(value: &T, to: &mut Vec<u8>) -> Result<(), RowError> {
    let written = postcard::serialize_with_flavor(value, Appended(to));
    written.map_err(|error| RowError::Unwritable { detail: error.to_string() })
}

#[inline]
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    const VALUE: &str = "value";
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, left)) => Err(RowError::LeftOver { count: left.len() }),
        Err(postcard::Error::DeserializeUnexpectedEnd) => Err(RowError::CutOff { field: VALUE }),
        Err(error) => Err(RowError::impossible(VALUE, error)),
    }
}

/// Bytes behind those that are there.
struct Appended<'t>(&'t mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Letter {
        id: Uuid,
        pages: u64,
        to: Option<String>,
        kind: Kind,
        stamps: BTreeMap<String, i32>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Plain,
        Weighed { grams: f64 },
    }

    fn letter() -> impl Strategy<Value = Letter> {
        let kind = prop_oneof![Just(Kind::Plain), (0.0..9e9).prop_map(|grams| Kind::Weighed { grams })];
        let stamps = prop::collection::btree_map(any::<String>(), any::<i32>(), 0..4);
        (any::<u128>(), any::<u64>(), any::<Option<String>>(), kind, stamps).prop_map(
            |(id, pages, to, kind, stamps)| Letter { id: Uuid::from_u128(id), pages, to, kind, stamps },
        )
    }

    proptest! {
        #[test]
        fn a_value_comes_back_from_its_bytes_and_from_no_others(letter in letter()) {
            let mut bytes = b"before".to_vec();
            put(&letter, &mut bytes).unwrap();
            let bytes = bytes.strip_prefix(b"before").unwrap();
            prop_assert_eq!(read::<Letter>(bytes), Ok(letter));
            prop_assert!(read::<Letter>(&bytes[..bytes.len() - 1]).is_err());
            let longer = [bytes, &[0]].concat();
            prop_assert_eq!(read::<Letter>(&longer), Err(RowError::LeftOver { count: 1 }));
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            let _ = read::<Letter>(&bytes);
        }
    }

    /// Rows stay for years: these bytes are read by whoever comes later.
    #[test]
    fn the_bytes_are_what_they_were() {
        let stamps = BTreeMap::from([("a".to_owned(), -2)]);
        let letter = Letter { id: Uuid::from_u128(7), pages: 300, to: None, kind: Kind::Plain, stamps };
        let mut bytes = Vec::new();
        put(&letter, &mut bytes).unwrap();
        let id = [&[16][..], Uuid::from_u128(7).as_bytes()].concat();
        assert_eq!(bytes, [&id[..], &[0xac, 2, 0, 0, 1, 1, b'a', 3]].concat());
    }

    #[test]
    fn a_type_that_has_no_bytes_is_refused_when_it_is_written() {
        #[derive(Serialize)]
        struct Flat {
            #[serde(flatten)]
            names: BTreeMap<String, u8>,
        }
        let error = put(&Flat { names: BTreeMap::new() }, &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, RowError::Unwritable { .. }), "{error}");
    }
}
