//! Which partitions have been read up to the end that was seen first, and which the present reader has heard of.

use daybook_kafka::topics::Watermarks;

/// How far each partition had to be read, and which have been.
#[derive(Default)]
pub(super) struct Catching {
    ends: Vec<Option<i64>>,
    reached: Vec<bool>,
    heard: Vec<bool>,
}

impl Catching {
    /// What a look at the log has found; the first end of each partition counts.
    pub(super) fn learn(&mut self, log: &[Option<Watermarks>]) {
        self.ends.resize(log.len(), None);
        self.reached.resize(log.len(), false);
        self.heard.resize(log.len(), false);
        for (end, held) in self.ends.iter_mut().zip(log) {
            *end = end.or_else(|| held.map(|held| held.high));
        }
    }

    pub(super) fn hear_anew(&mut self) {
        self.heard.fill(false);
    }

    pub(super) fn hear(&mut self, source: usize) {
        self.heard[source] = true;
    }

    /// Whether the reader has got all partitions to speak but those of which nothing can be heard, and one of them at least.
    pub(super) fn heard_all(&self, is_away: impl Fn(usize) -> bool) -> bool {
        let mut heard = self.heard.iter().enumerate();
        self.heard.contains(&true) && heard.all(|(source, heard)| *heard || is_away(source))
    }

    pub(super) fn reach(&mut self, source: usize) {
        self.reached[source] = true;
    }

    /// Records that are still to be read up to there, of the partitions whose ends are known; `next_offset` says how far each
    /// has been read.
    pub(super) fn left(&mut self, next_offset: impl Fn(usize) -> i64) -> u64 {
        let mut left = 0;
        for (source, (reached, end)) in self.reached.iter_mut().zip(&self.ends).enumerate() {
            let Some(end) = end else { continue };
            let behind = u64::try_from(end - next_offset(source)).unwrap_or(0);
            *reached = *reached || behind == 0;
            left += if *reached { 0 } else { behind };
        }
        left
    }

    /// Whether all have been read up to there, as of the last [`Catching::left`]: also those that nobody answered for.
    pub(super) fn caught_up(&self) -> bool {
        self.reached.iter().all(|reached| *reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ends: &[i64]) -> Vec<Option<Watermarks>> {
        // Below zero: nobody answers.
        ends.iter().map(|high| (*high >= 0).then_some(Watermarks { low: 0, high: *high })).collect()
    }

    fn catching(log: &[i64]) -> Catching {
        let mut catching = Catching::default();
        catching.learn(&ends(log));
        catching
    }

    #[test]
    fn it_is_caught_up_once_every_partition_has_reached_its_end_or_ended_for_the_reader() {
        let mut all = catching(&[3, 4]);
        assert_eq!((all.left(|source| [3, 3][source]), all.caught_up()), (1, false));
        assert_eq!(
            (all.left(|source| [0, 4][source]), all.caught_up()),
            (0, true),
            "the first has been there before"
        );
        let mut all = catching(&[3, 4]);
        all.reach(1);
        assert_eq!((all.left(|_| 2), all.caught_up()), (1, false));
        assert_eq!((all.left(|_| 3), all.caught_up()), (0, true));
    }

    #[test]
    fn a_partition_that_nobody_answers_for_is_none_that_is_empty() {
        let mut all = catching(&[3, -1]);
        assert_eq!((all.left(|_| 3), all.caught_up()), (0, false));
        all.learn(&ends(&[9, 5]));
        assert_eq!((all.left(|_| 3), all.caught_up()), (2, false), "the first has been where it was to get");
        all.learn(&ends(&[9, -1]));
        assert_eq!((all.left(|_| 4), all.caught_up()), (1, false), "its end is known");
        assert_eq!((all.left(|_| 5), all.caught_up()), (0, true));
    }

    #[test]
    fn it_has_heard_of_all_once_each_partition_has_spoken_to_the_present_reader() {
        let nobody = |_| false;
        let mut all = catching(&[3, 3]);
        all.hear(0);
        assert!(!all.heard_all(nobody));
        assert!(all.heard_all(|source| source == 1));
        assert!(!catching(&[3, 3]).heard_all(|_| true), "nothing at all was heard");
        all.hear(1);
        assert!(all.heard_all(nobody));
        all.hear_anew();
        assert!(!all.heard_all(nobody));
    }
}
