//! Time and fresh ids, passed in so that tests repeat.

use std::time::SystemTime;

use jiff::Timestamp;
use uuid::{NoContext, Uuid};

/// Where a service takes the time and new ids from.
pub(crate) trait Ambient: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    /// An id that nobody has; ascending, so that new keys are written next to each other.
    fn new_id(&self) -> Uuid;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemAmbient;

impl Ambient for SystemAmbient {
    fn now(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }

    fn new_id(&self) -> Uuid {
        fresh_id(SystemTime::now())
    }
}

/// The time of day as events can tell it: a clock that was not set yet says 1970, and one beyond year 9999 says that.
fn timestamp(now: SystemTime) -> Timestamp {
    let earliest = now.max(SystemTime::UNIX_EPOCH);
    Timestamp::try_from(earliest).unwrap_or(Timestamp::MAX)
}

fn fresh_id(now: SystemTime) -> Uuid {
    if now >= SystemTime::UNIX_EPOCH {
        return Uuid::now_v7();
    }
    // What would panic there; such ids are in no order of time.
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, 0, 0))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms(ambient: &dyn Ambient) -> u64 {
    u64::try_from(ambient.now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_no_reason_to_end() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        assert_eq!(timestamp(before), Timestamp::UNIX_EPOCH);
        assert_ne!(fresh_id(before), fresh_id(before));
        assert_eq!(fresh_id(before).get_version_num(), 7);
        let beyond = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000 * 86_400 * 365);
        assert_eq!(timestamp(beyond), Timestamp::MAX);
        fresh_id(beyond);
    }
}
