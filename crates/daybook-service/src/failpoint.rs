//! Failpoints: places where a service can be made to do harm, so that what checks it can be seen to find that.
//!
//! They are those of the crate `fail`, which reads from `FAILPOINTS` what fires and how often. Without the feature `failpoints`
//! the crate is not there, and the compiler removes what depends on one.

/// What a process logs each time when a failpoint fires.
pub const FIRES: &str = "a failpoint fires";

/// Whether the failpoint `name` fires here and now. To be asked last, where everything else for it is there: `fail` counts
/// how often it is asked.
#[cfg(feature = "failpoints")]
pub fn fires(name: &'static str) -> bool {
    fail::fail_point!(name, |_| {
        tracing::warn!(failpoint = name, "{FIRES}");
        true
    });
    false
}

/// Whether the failpoint `name` fires here and now: never, in this build.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn fires(_: &'static str) -> bool {
    false
}

/// The compiler sees that it never does.
#[cfg(not(feature = "failpoints"))]
const _: () = assert!(!fires("drop-row"));
