//! sled panics where it meets damage that it does not expect; here that is an error, so that what is damaged is replaced.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::kernel::store::{Failure, StoreError};

/// What `work` gives; damage, if sled panics on the way.
pub(super) fn guarded<T>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> T,
) -> Result<T, StoreError> {
    let unexpected =
        |_| StoreError::of(Failure::Damage, action, path, "sled met damage that it does not expect");
    catch_unwind(AssertUnwindSafe(work)).map_err(unexpected)
}

/// The items of an iterator of sled; it ends behind damage that sled does not expect.
pub(super) struct Guarded<'p, I> {
    items: Option<I>,
    path: &'p Path,
}

impl<'p, I> Guarded<'p, I> {
    pub(super) fn of(items: I, path: &'p Path) -> Self {
        Self { items: Some(items), path }
    }
}

impl<I: Iterator> Iterator for Guarded<'_, I> {
    type Item = Result<I::Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let items = self.items.as_mut()?;
        let next = guarded("read", self.path, || items.next());
        if next.is_err() {
            self.items = None;
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_damage_and_ends_what_is_read() {
        let path = Path::new("rows");
        let items = (0..3).inspect(|item| assert!(*item < 1, "as sled does"));
        let mut read = Guarded::of(items, path);
        assert_eq!(read.next().unwrap().unwrap(), 0);
        assert!(read.next().unwrap().unwrap_err().is_damage());
        assert!(read.next().is_none());
    }
}
