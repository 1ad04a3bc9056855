//! Fields of a stored value: length-prefixed bytes and big-endian numbers, read back with bounds checked.

use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored {what} is damaged; rebuild the store from the log with --recover")]
pub struct Damaged {
    pub what: &'static str,
}

pub(crate) fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    // Values are bounded far below 4 GiB (`limits::VALUE_BYTES_MAX`).
    to.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Appends a number in base 128, least significant digits first; all bytes but the last have their highest bit set.
pub(crate) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Appends bytes, and before them their length as [`put_number`] writes it.
pub(crate) fn put_sized(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(what: &'static str, value: &'a [u8]) -> Self {
        Self { rest: value, what }
    }

    pub(crate) fn damaged(&self) -> Damaged {
        Damaged { what: self.what }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.damaged())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Damaged> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_be_bytes)
    }

    /// A UUID; the nil UUID stands for none.
    pub(crate) fn id(&mut self) -> Result<Option<Uuid>, Damaged> {
        let id = self.array().map(Uuid::from_bytes)?;
        Ok((!id.is_nil()).then_some(id))
    }

    /// A number as [`put_number`] writes it, in its shortest form only.
    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number: u64 = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let digits = u64::from(byte & 0x7f);
            let fits = digits << shift >> shift == digits;
            let is_last = byte & 0x80 == 0;
            let is_needless = is_last && digits == 0 && shift > 0;
            if !fits || is_needless {
                return Err(self.damaged());
            }
            number |= digits << shift;
            if is_last {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    /// Bytes as [`put_sized`] writes them.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.number()?;
        self.take(usize::try_from(count).map_err(|_| self.damaged())?)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.u32()?;
        self.take(usize::try_from(count).map_err(|_| self.damaged())?)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged())
    }
}
