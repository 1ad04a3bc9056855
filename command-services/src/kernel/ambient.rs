//! Time and fresh ids, passed in so that tests repeat.

use jiff::Timestamp;
use uuid::Uuid;

/// Where a service takes the time and new ids from.
pub(crate) trait Ambient: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// An id that nobody has; ascending, so that new keys are written next to each other.
    fn new_id(&self) -> Uuid;
}

/// The system's clock, and UUIDs of version 7.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemAmbient;

impl Ambient for SystemAmbient {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms(ambient: &dyn Ambient) -> u64 {
    u64::try_from(ambient.now().as_millisecond()).unwrap_or(0)
}
