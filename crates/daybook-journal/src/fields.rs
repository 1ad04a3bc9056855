//! Numbers and bytes of a format, read back with their bounds checked. Numbers are big-endian. The journal's own, and those of
//! what others keep in it or in a store.

use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {why}")]
pub struct Damaged {
    pub what: &'static str,
    pub why: &'static str,
}

pub fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    // A record is bounded far below 4 GiB (`RECORD_BYTES_MAX`).
    to.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Appends how many of something follow.
pub fn put_count(to: &mut Vec<u8>, count: usize) {
    // Each of what is counted takes at least a byte of a record or of a footer, which are bounded far below 4 GiB.
    to.extend_from_slice(&(count as u32).to_be_bytes());
}

/// Appends a number in base 128, least significant digits first; all bytes but the last have their highest bit set.
pub fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Appends bytes, and before them their length as [`put_number`] writes it.
pub fn put_sized(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub fn of(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub fn damaged(&self, why: &'static str) -> Damaged {
        Damaged { what: self.what, why }
    }

    pub fn what(&self) -> &'static str {
        self.what
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let split = self.rest.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| self.damaged("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.damaged("it ends too early"))
    }

    pub fn u8(&mut self) -> Result<u8, Damaged> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, Damaged> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Damaged> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn id(&mut self) -> Result<Uuid, Damaged> {
        self.array().map(Uuid::from_bytes)
    }

    /// The nil UUID stands for none.
    pub fn id_or_none(&mut self) -> Result<Option<Uuid>, Damaged> {
        self.id().map(|id| (!id.is_nil()).then_some(id))
    }

    /// How many of something follow, each at least `bytes_min` long: what cannot be there is refused before memory is
    /// taken for it.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, Damaged> {
        let count = self.u32()? as usize;
        let fits = count.checked_mul(bytes_min).is_some_and(|bytes| bytes <= self.rest.len());
        if fits { Ok(count) } else { Err(self.damaged("it says that more follows than it has")) }
    }

    /// A number as [`put_number`] writes it, in its shortest form only.
    pub fn number(&mut self) -> Result<u64, Damaged> {
        let mut number: u64 = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let digits = u64::from(byte & 0x7f);
            let fits = digits << shift >> shift == digits;
            let is_last = byte & 0x80 == 0;
            let is_needless = is_last && digits == 0 && shift > 0;
            if !fits || is_needless {
                return Err(self.damaged("a number of it is not in its shortest form"));
            }
            number |= digits << shift;
            if is_last {
                return Ok(number);
            }
        }
        Err(self.damaged("a number of it is not in its shortest form"))
    }

    /// Bytes as [`put_sized`] writes them.
    pub fn sized(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.number()?;
        self.take(usize::try_from(count).map_err(|_| self.damaged("it ends too early"))?)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text of it is not UTF-8"))
    }

    pub fn end(self) -> Result<(), Damaged> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("it is longer than what it holds")) }
    }
}
