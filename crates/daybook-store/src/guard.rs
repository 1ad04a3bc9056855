//! sled panics where it meets damage that it does not expect; here that is an error, so that what is damaged is replaced. It also
//! panics where the system gives it no thread or no memory, which is no damage and may pass.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Cause;

/// What the system's answer looks like in a panic of sled: it gives no thread, or no memory.
const REFUSED: [&str; 2] = ["kind: WouldBlock", "kind: OutOfMemory"];

#[derive(Debug)]
pub(crate) struct Panicked {
    pub(crate) detail: String,
    pub(crate) cause: Cause,
}

/// What `work` gives; damage, if sled panics on the way, unless the system has refused it something.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = said(&*panic);
        match REFUSED.iter().any(|refused| said.contains(refused)) {
            true => Panicked {
                detail: format!(
                    "the system gives sled no thread or memory: {said}; check the limits of this process"
                ),
                cause: Cause::Other,
            },
            false => Panicked {
                detail: "sled met damage that it does not expect".to_owned(),
                cause: Cause::Damage,
            },
        }
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

/// The items of an iterator of sled; it ends behind damage that sled does not expect.
pub(crate) struct Guarded<I>(Option<I>);

impl<I> Guarded<I> {
    pub(crate) fn of(items: I) -> Self {
        Self(Some(items))
    }
}

impl<I: Iterator> Iterator for Guarded<I> {
    type Item = Result<I::Item, Panicked>;

    fn next(&mut self) -> Option<Self::Item> {
        let items = self.0.as_mut()?;
        let next = guarded(|| items.next());
        if next.is_err() {
            self.0 = None;
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_damage_and_ends_what_is_read() {
        let items = (0..3).inspect(|item| assert!(*item < 1, "as sled does"));
        let mut read = Guarded::of(items);
        assert_eq!(read.next().unwrap().unwrap(), 0);
        assert_eq!(read.next().unwrap().unwrap_err().cause, Cause::Damage);
        assert!(read.next().is_none());
    }

    #[test]
    fn a_thread_that_the_system_does_not_give_is_no_damage() {
        let no_thread = || -> std::io::Result<()> { Err(std::io::Error::from_raw_os_error(11)) };
        // As sled begins its thread that writes.
        let panicked = guarded(|| no_thread().unwrap()).unwrap_err();
        assert!(panicked.cause == Cause::Other && panicked.detail.contains("no thread"), "{panicked:?}");
    }
}
