//! Compact bytes for rows: variable-length numbers, and a reader that answers corrupt bytes with an error.

use std::mem::size_of;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Bytes of the longest variable-length number: 64 bits, seven a byte.
const VARINT_BYTES_MAX: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("the row ends within `{field}`")]
    CutOff { field: &'static str },
    #[error("{count} bytes are left over after the row's end")]
    LeftOver { count: usize },
    #[error("a row or change of this type cannot be written: {detail}")]
    Unwritable { detail: String },
    #[error("`{field}` of the row has a value that was never written: {found}")]
    Impossible { field: &'static str, found: String },
}

impl RowError {
    pub fn impossible(field: &'static str, found: impl ToString) -> Self {
        Self::Impossible { field, found: found.to_string() }
    }
}

/// Appends `number`, seven bits a byte, lowest first.
pub fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Appends a number of either sign; small magnitudes take few bytes.
pub fn put_signed(to: &mut Vec<u8>, number: i64) {
    put_varint(to, ((number << 1) ^ (number >> 63)) as u64);
}

pub fn put_text(to: &mut Vec<u8>, text: &str) {
    put_varint(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

/// Reads what the `put_…` functions wrote. Never reads beyond its bytes, never panics.
#[derive(Debug)]
pub struct RowReader<'a> {
    left: &'a [u8],
}

impl<'a> RowReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub fn byte(&mut self, field: &'static str) -> Result<u8, RowError> {
        Ok(self.take(1, field)?[0])
    }

    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], RowError> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(RowError::CutOff { field })?;
        self.left = left;
        Ok(taken)
    }

    pub fn uuid(&mut self, field: &'static str) -> Result<Uuid, RowError> {
        let bytes = self.take(size_of::<Uuid>(), field)?;
        Uuid::from_slice(bytes).map_err(|_| RowError::CutOff { field })
    }

    /// What [`put_varint`] wrote.
    /// Errors: [`RowError`] if cut off or longer than 64 bits.
    pub fn varint(&mut self, field: &'static str) -> Result<u64, RowError> {
        let mut number = 0;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            if index == VARINT_BYTES_MAX - 1 && bits > 1 {
                break;
            }
            number |= bits << (7 * index);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(RowError::impossible(field, "a number of more than 64 bits"))
    }

    /// A [`put_varint`] that must fit a smaller type.
    /// Errors: [`RowError`] if cut off or too large.
    pub fn number<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, RowError> {
        let number = self.varint(field)?;
        T::try_from(number).map_err(|_| RowError::impossible(field, number))
    }

    pub fn signed(&mut self, field: &'static str) -> Result<i64, RowError> {
        let number = self.varint(field)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// What [`put_text`] wrote.
    /// Errors: [`RowError`] if cut off or not UTF-8.
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, RowError> {
        let length = self.number(field)?;
        let bytes = self.take(length, field)?;
        std::str::from_utf8(bytes).map_err(|error| RowError::impossible(field, error))
    }

    pub fn is_at_end(&self) -> bool {
        self.left.is_empty()
    }

    pub fn finish(self) -> Result<(), RowError> {
        match self.left.len() {
            0 => Ok(()),
            count => Err(RowError::LeftOver { count }),
        }
    }
}

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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_text_come_back(number: u64, signed: i64, text: String) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            put_signed(&mut bytes, signed);
            put_text(&mut bytes, &text);
            let mut reader = RowReader::new(&bytes);
            prop_assert_eq!(reader.varint("number"), Ok(number));
            prop_assert_eq!(reader.signed("signed"), Ok(signed));
            prop_assert_eq!(reader.text("text"), Ok(text.as_str()));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut longest = [0xff_u8; VARINT_BYTES_MAX];
        longest[VARINT_BYTES_MAX - 1] = 1;
        assert_eq!(RowReader::new(&longest).varint("number"), Ok(u64::MAX));
        longest[VARINT_BYTES_MAX - 1] = 2;
        assert!(RowReader::new(&longest).varint("number").is_err());
        assert!(RowReader::new(&[0x80; 20]).varint("number").is_err());
    }

    #[test]
    fn bytes_left_over_are_told() {
        assert_eq!(RowReader::new(&[1, 2]).finish(), Err(RowError::LeftOver { count: 2 }));
    }
}

#[cfg(test)]
mod row_format_tests {
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

    /// Rows stay for years: later programs read these bytes.
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
