//! How much waits, of each key and in the whole generation, and the bounds on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{PARKED_BYTES_MAX, PARKED_EVENTS_MAX, PARKED_EVENTS_PER_KEY_MAX, PARKED_RECORD_BYTES_MAX};

/// What waits in a whole generation; several threads may count.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    events: AtomicU64,
    bytes: AtomicU64,
}

/// Events that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By partition and key.
    events: HashMap<usize, HashMap<Vec<u8>, u64>>,
    totals: Arc<Totals>,
}

impl Waiting {
    /// One of several that count together.
    pub(super) fn counting(totals: &Arc<Totals>) -> Self {
        Self { totals: totals.clone(), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many wait of a key in a partition.
    pub(super) fn of_key(&self, source: usize, key: &[u8]) -> u64 {
        self.events.get(&source).and_then(|keys| keys.get(key)).copied().unwrap_or_default()
    }

    /// One more waits.
    pub(super) fn count(&mut self, source: usize, key: &[u8], bytes: u64) {
        *self.events.entry(source).or_default().entry(key.to_vec()).or_default() += 1;
        self.totals.events.fetch_add(1, Ordering::Relaxed);
        self.totals.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Which bound forbids that one more waits.
    pub(super) fn bound_reached(&self, source: usize, key: &[u8], bytes: usize) -> Option<&'static str> {
        let total = |count: &AtomicU64| count.load(Ordering::Relaxed);
        match () {
            () if bytes > PARKED_RECORD_BYTES_MAX => Some("its record is too large to wait"),
            () if self.of_key(source, key) >= PARKED_EVENTS_PER_KEY_MAX => {
                Some("no more events of one key may wait")
            }
            () if total(&self.totals.events) >= PARKED_EVENTS_MAX => Some("no more events may wait"),
            () if total(&self.totals.bytes) + bytes as u64 > PARKED_BYTES_MAX => {
                Some("no more bytes of events may wait")
            }
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_named_once_it_is_reached_and_not_before() {
        let largest = PARKED_RECORD_BYTES_MAX;
        let mut waiting = Waiting::default();
        assert_eq!(waiting.bound_reached(0, b"a", largest), None);
        assert_eq!(waiting.bound_reached(0, b"a", largest + 1), Some("its record is too large to wait"));
        for _ in 0..PARKED_EVENTS_PER_KEY_MAX {
            assert_eq!(waiting.bound_reached(0, b"a", 1), None);
            waiting.count(0, b"a", 1);
        }
        assert_eq!(waiting.bound_reached(0, b"a", 1), Some("no more events of one key may wait"));
        assert_eq!((waiting.bound_reached(1, b"a", 1), waiting.bound_reached(0, b"b", 1)), (None, None));
    }

    #[test]
    fn all_threads_together_are_bounded_by_number_and_bytes() {
        let (by_number, by_bytes) = (Arc::default(), Arc::default());
        let (mut one, other) = (Waiting::counting(&by_number), Waiting::counting(&by_number));
        for number in 0..PARKED_EVENTS_MAX {
            assert_eq!(other.bound_reached(1, b"a", 0), None);
            one.count(0, &number.to_be_bytes(), 0);
        }
        assert_eq!(other.bound_reached(1, b"a", 0), Some("no more events may wait"));
        let (mut one, other) = (Waiting::counting(&by_bytes), Waiting::counting(&by_bytes));
        one.count(0, b"a", PARKED_BYTES_MAX - 7);
        assert_eq!(other.bound_reached(1, b"a", 7), None);
        assert_eq!(other.bound_reached(1, b"a", 8), Some("no more bytes of events may wait"));
    }
}
