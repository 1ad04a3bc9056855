//! Pauses between attempts that grow, so that what lasts is not tried every moment. Pure.

use std::time::Duration;

/// How long to wait before the next attempt: `first` after the first failure, twice as long after each further one, up to
/// `longest`.
#[derive(Debug, Clone)]
pub struct Pause {
    first: Duration,
    longest: Duration,
    last: Option<Duration>,
}

impl Pause {
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, last: None }
    }

    #[must_use = "a retry waits for it"]
    pub fn longer(&mut self) -> Duration {
        let next = self.last.map_or(self.first, |last| (last * 2).min(self.longest));
        self.last = Some(next);
        next
    }

    /// An attempt succeeded: the next failure counts as the first.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_up_to_its_bound_and_begins_again_after_a_success() {
        let mut pause = Pause::new(Duration::from_millis(500), Duration::from_secs(3));
        let grown: Vec<_> = (0..5).map(|_| pause.longer().as_millis()).collect();
        assert_eq!(grown, [500, 1_000, 2_000, 3_000, 3_000]);
        pause.reset();
        assert_eq!(pause.longer(), Duration::from_millis(500));
    }
}
