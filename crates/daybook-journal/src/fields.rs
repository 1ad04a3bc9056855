//! Numbers and bytes of the format, read back with their bounds checked. Numbers are big-endian.

use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {why}")]
pub struct Damaged {
    pub what: &'static str,
    pub why: &'static str,
}

pub(crate) fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    // A record is bounded far below 4 GiB (`RECORD_BYTES_MAX`).
    to.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Appends how many of something follow.
pub(crate) fn put_count(to: &mut Vec<u8>, count: usize) {
    // Each of what is counted takes at least a byte of a record or of a footer, which are bounded far below 4 GiB.
    to.extend_from_slice(&(count as u32).to_be_bytes());
}

#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn damaged(&self, why: &'static str) -> Damaged {
        Damaged { what: self.what, why }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let split = self.rest.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| self.damaged("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.damaged("it ends too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        self.array().map(u8::from_be_bytes)
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

    pub(crate) fn id(&mut self) -> Result<Uuid, Damaged> {
        self.array().map(Uuid::from_bytes)
    }

    /// The nil UUID stands for none.
    pub(crate) fn id_or_none(&mut self) -> Result<Option<Uuid>, Damaged> {
        self.id().map(|id| (!id.is_nil()).then_some(id))
    }

    /// How many of something follow, each at least `bytes_min` long: what cannot be there is refused before memory is
    /// taken for it.
    pub(crate) fn count(&mut self, bytes_min: usize) -> Result<usize, Damaged> {
        let count = self.u32()? as usize;
        let fits = count.checked_mul(bytes_min).is_some_and(|bytes| bytes <= self.rest.len());
        if fits { Ok(count) } else { Err(self.damaged("it says that more follows than it has")) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text of it is not UTF-8"))
    }

    pub(crate) fn end(self) -> Result<(), Damaged> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("it is longer than what it holds")) }
    }
}
