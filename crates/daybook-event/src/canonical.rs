//! Reading JSON in the one form that we write ourselves: members in a fixed order, no white space, no escapes.
//!
//! Nearly every event in a log has this form, and reading it is a comparison of constants with values in between,
//! several times faster than a parser for all of JSON. [`Cursor`] gives `None` for whatever does not fit exactly, and
//! that is no verdict: the same bytes may well be an event in another form, which the parser judges, and explains.
//!
//! What is read here is what the parser would read. Where that takes more than a few lines, such as for a leap second,
//! the answer is `None`.

mod digits;
mod value;

use jiff::Timestamp;
use uuid::Uuid;

pub use value::Value;

/// A place in a JSON text. Each method first expects the constant that stands before its value.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes past `constant`.
    #[inline]
    pub fn expect<const N: usize>(&mut self, constant: &[u8; N]) -> Option<()> {
        (self.take::<N>()? == constant).then_some(())
    }

    /// Expects `constant` and after it the end.
    #[inline]
    pub fn end<const N: usize>(&mut self, constant: &[u8; N]) -> Option<()> {
        (self.rest == constant).then_some(())
    }

    /// Goes past `constant` if it comes next, and returns whether it did.
    #[inline]
    pub fn skip<const N: usize>(&mut self, constant: &[u8; N]) -> bool {
        match self.rest.strip_prefix(constant) {
            Some(rest) => self.rest = rest,
            None => return false,
        }
        true
    }

    /// A UUID in lower case with hyphens, after `before`.
    // A result handed back through memory costs more than reading it.
    #[inline(always)]
    pub fn uuid<const N: usize>(&mut self, before: &[u8; N]) -> Option<Uuid> {
        self.expect(before)?;
        digits::uuid(self.take()?)
    }

    /// A time of UTC since 1970 with six digits of fraction, after `before`.
    #[inline]
    pub fn time<const N: usize>(&mut self, before: &[u8; N]) -> Option<Timestamp> {
        self.expect(before)?;
        digits::timestamp(self.take()?)
    }

    /// A whole number of exactly twenty digits, after `before`.
    #[inline]
    pub fn twenty_digits<const N: usize>(&mut self, before: &[u8; N]) -> Option<u64> {
        self.expect(before)?;
        digits::twenty(self.take()?)
    }

    /// A whole number without sign or leading zeros, after `before`.
    #[inline]
    pub fn number<const N: usize>(&mut self, before: &[u8; N]) -> Option<u64> {
        self.expect(before)?;
        let (number, rest) = digits::number(self.rest)?;
        self.rest = rest;
        Some(number)
    }

    /// A whole number without leading zeros, perhaps negative, after `before`.
    #[inline]
    pub fn signed<const N: usize>(&mut self, before: &[u8; N]) -> Option<i64> {
        self.expect(before)?;
        if !self.skip(b"-") {
            return self.number(b"")?.try_into().ok();
        }
        // JSON's minus zero is no integer.
        let magnitude = self.number(b"").filter(|magnitude| *magnitude > 0)?;
        0_i64.checked_sub_unsigned(magnitude)
    }

    #[inline]
    pub fn text<const N: usize>(&mut self, before: &[u8; N]) -> Option<&'a str> {
        self.expect(before)?;
        let (text, rest) = self.rest.split_at_checked(plain_length(self.rest)?)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(head)
    }
}

/// Eight times the same byte.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Bytes up to the next quote; `None` if an escape or a control character comes before it.
#[inline]
fn plain_length(text: &[u8]) -> Option<usize> {
    let (eights, rest) = text.as_chunks::<8>();
    let in_eights = eights.iter().enumerate().find_map(|(index, eight)| {
        let special = special(u64::from_le_bytes(*eight));
        (special != 0).then(|| index * 8 + special.trailing_zeros() as usize / 8)
    });
    let in_rest = || Some(eights.len() * 8 + rest.iter().position(|byte| is_special(*byte))?);
    in_eights.or_else(in_rest).filter(|length| text.get(*length) == Some(&b'"'))
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The highest bit of the first byte that is special, in the order of memory; bits above it mean nothing.
#[inline]
fn special(eight: u64) -> u64 {
    let below = |eight: u64, limit: u8| eight.wrapping_sub(each(limit)) & !eight & each(0x80);
    below(eight, b' ') | below(eight ^ each(b'"'), 1) | below(eight ^ each(b'\\'), 1)
}
