//! sled panics where it meets damage that it does not expect; here that is an error, so that what is damaged is replaced. It also
//! panics where the system gives it no thread, which is no damage and may pass.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::store::{Failure, StoreError};

/// What the system's answer looks like in a panic of sled: it gives no thread, or no memory.
const REFUSED: [&str; 2] = ["kind: WouldBlock", "kind: OutOfMemory"];

/// What `work` gives; damage, if sled panics on the way, unless the system has refused it something.
pub(super) fn guarded<T>(
    action: &'static str,
    path: &Path,
    work: impl FnOnce() -> T,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = said(&*panic);
        match REFUSED.iter().any(|refused| said.contains(refused)) {
            true => {
                let detail = format!(
                    "the system gives sled no thread or memory: {said}; check the limits of this process"
                );
                StoreError::of(Failure::Other, action, path, detail)
            }
            false => StoreError::of(Failure::Damage, action, path, "sled met damage that it does not expect"),
        }
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
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

    #[test]
    fn a_thread_that_the_system_does_not_give_is_no_damage() {
        let no_thread = || -> std::io::Result<()> { Err(std::io::Error::from_raw_os_error(11)) };
        // As sled begins its thread that writes.
        let error = guarded("open", Path::new("rows"), || no_thread().unwrap()).unwrap_err();
        assert!(!error.is_damage() && error.to_string().contains("no thread"), "{error}");
    }
}
