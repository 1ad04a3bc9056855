//! Compact bytes for rows: variable-length numbers, and a reader that answers corrupt bytes with an error.

use std::mem::size_of;

use uuid::Uuid;

/// Bytes of the longest variable-length number: 64 bits, seven a byte.
const VARINT_BYTES_MAX: usize = 10;

/// Why the bytes of a row cannot be read.
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
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// One byte.
    pub fn byte(&mut self, field: &'static str) -> Result<u8, RowError> {
        Ok(self.take(1, field)?[0])
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], RowError> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(RowError::CutOff { field })?;
        self.left = left;
        Ok(taken)
    }

    /// A UUID, 16 bytes.
    pub fn uuid(&mut self, field: &'static str) -> Result<Uuid, RowError> {
        let bytes = self.take(size_of::<Uuid>(), field)?;
        Uuid::from_slice(bytes).map_err(|_| RowError::CutOff { field })
    }

    /// What [`put_varint`] wrote.
    ///
    /// # Errors
    /// [`RowError`] if cut off or longer than 64 bits.
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
    ///
    /// # Errors
    /// [`RowError`] if cut off or too large.
    pub fn number<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, RowError> {
        let number = self.varint(field)?;
        T::try_from(number).map_err(|_| RowError::impossible(field, number))
    }

    /// What [`put_signed`] wrote.
    pub fn signed(&mut self, field: &'static str) -> Result<i64, RowError> {
        let number = self.varint(field)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// What [`put_text`] wrote.
    ///
    /// # Errors
    /// [`RowError`] if cut off or not UTF-8.
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, RowError> {
        let length = self.number(field)?;
        let bytes = self.take(length, field)?;
        std::str::from_utf8(bytes).map_err(|error| RowError::impossible(field, error))
    }

    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.left.is_empty()
    }

    /// Makes sure that everything has been read.
    pub fn finish(self) -> Result<(), RowError> {
        match self.left.len() {
            0 => Ok(()),
            count => Err(RowError::LeftOver { count }),
        }
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
