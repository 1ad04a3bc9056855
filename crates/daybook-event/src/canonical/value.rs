//! Values of fields, as serde writes them.

use std::num::NonZero;

use uuid::Uuid;

use super::Cursor;

/// A type that is read from the one form in which it is written.
///
/// Fields of other types are read by the parser, and with them their whole event: several times slower, and no different.
pub trait Value: Sized {
    /// The value that comes next; what it is read as, the parser would read as well. `None` is no verdict.
    fn read(at: &mut Cursor<'_>) -> Option<Self>;
}

impl Value for Uuid {
    #[inline(always)]
    fn read(at: &mut Cursor<'_>) -> Option<Self> {
        let id = at.uuid(b"\"")?;
        at.expect(b"\"")?;
        Some(id)
    }
}

impl Value for String {
    #[inline(always)]
    fn read(at: &mut Cursor<'_>) -> Option<Self> {
        let text = at.text(b"\"")?;
        at.expect(b"\"")?;
        Some(text.to_owned())
    }
}

impl Value for bool {
    #[inline(always)]
    fn read(at: &mut Cursor<'_>) -> Option<Self> {
        if at.skip(b"true") {
            return Some(true);
        }
        at.expect(b"false")?;
        Some(false)
    }
}

impl<T: Value> Value for Option<T> {
    #[inline(always)]
    fn read(at: &mut Cursor<'_>) -> Option<Self> {
        if at.skip(b"null") { Some(None) } else { Some(Some(T::read(at)?)) }
    }
}

macro_rules! numbers {
    ($read:ident: $($number:ty)*) => {$(
        impl Value for $number {
            #[inline(always)]
            fn read(at: &mut Cursor<'_>) -> Option<Self> {
                at.$read(b"")?.try_into().ok()
            }
        }
    )*};
}

numbers!(number: u8 u16 u32 u64);
numbers!(signed: i8 i16 i32 i64);

macro_rules! numbers_that_are_not_zero {
    ($($plain:ty)*) => {$(
        impl Value for NonZero<$plain> {
            #[inline(always)]
            fn read(at: &mut Cursor<'_>) -> Option<Self> {
                Self::new(<$plain>::read(at)?)
            }
        }
    )*};
}

numbers_that_are_not_zero!(u8 u16 u32 u64 i8 i16 i32 i64);
