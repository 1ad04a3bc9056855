//! Which partitions have been read up to the end that was seen at the start, and which the present reader has heard of.

use event_log::topics::Watermarks;

/// How far each partition had to be read, and which have been.
pub(super) struct Catching {
    ends: Vec<i64>,
    reached: Vec<bool>,
    heard: Vec<bool>,
}

impl Catching {
    pub(super) fn new(log: &[Watermarks]) -> Self {
        let ends = log.iter().map(|held| held.high).collect();
        Self { ends, reached: vec![false; log.len()], heard: vec![false; log.len()] }
    }

    /// A new reader takes over.
    pub(super) fn hear_anew(&mut self) {
        self.heard.fill(false);
    }

    /// The reader gave a record of a partition, or its end.
    pub(super) fn hear(&mut self, source: usize) {
        self.heard[source] = true;
    }

    /// Whether the reader has got all partitions to speak.
    pub(super) fn heard_all(&self) -> bool {
        self.heard.iter().all(|heard| *heard)
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

    #[test]
    fn it_has_heard_of_all_once_each_partition_has_spoken_to_the_present_reader() {
        let mut catching = Catching::new(&[Watermarks { low: 0, high: 3 }; 2]);
        catching.hear(0);
        assert!(!catching.heard_all());
        catching.hear(1);
        assert!(catching.heard_all());
        catching.hear_anew();
        assert!(!catching.heard_all());
    }
}
