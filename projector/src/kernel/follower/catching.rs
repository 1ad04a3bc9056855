//! Which partitions have been read up to the end that was seen at the start.

use event_log::topics::Watermarks;

/// How far each partition had to be read, and which have been.
pub(super) struct Catching {
    ends: Vec<i64>,
    reached: Vec<bool>,
}

impl Catching {
    pub(super) fn new(log: &[Watermarks]) -> Self {
        Self { ends: log.iter().map(|held| held.high).collect(), reached: vec![false; log.len()] }
    }

    /// A partition ended here for the reader.
    pub(super) fn reach(&mut self, source: usize) {
        self.reached[source] = true;
    }

    /// Whether all have been read up to there; `next_offset` says how far each has been read.
    pub(super) fn caught_up(&mut self, next_offset: impl Fn(usize) -> i64) -> bool {
        for (source, reached) in self.reached.iter_mut().enumerate() {
            *reached = *reached || next_offset(source) >= self.ends[source];
        }
        self.reached.iter().all(|reached| *reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_caught_up_once_every_partition_has_reached_its_end_or_ended_for_the_reader() {
        let log = [Watermarks { low: 0, high: 3 }, Watermarks { low: 1, high: 4 }];
        let mut catching = Catching::new(&log);
        assert!(!catching.caught_up(|source| [3, 3][source]));
        assert!(catching.caught_up(|source| [0, 4][source]), "the first has been there before");
        let mut catching = Catching::new(&log);
        catching.reach(1);
        assert!(!catching.caught_up(|_| 2));
        assert!(catching.caught_up(|_| 3));
    }
}
