//! Commits of a follower, how far it has got, and what it tells of that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use daybook_event::event_data::EventData;
use daybook_kafka::topics::{TopicError, Watermarks};
use tokio::sync::watch;

use super::following::Following;
use crate::checkpoint::SourceId;
use crate::progress::{Progress, State};
use crate::stop::StopReason;

impl<E: EventData> Following<E> {
    pub(super) fn commit(&mut self) -> Result<(), StopReason> {
        if !self.engine.uncommitted() {
            return Ok(());
        }
        let committed = self.engine.commit(&self.generation);
        // Rows handed over and not written must not be followed by a checkpoint that counts on them.
        let checkpoint = committed.inspect_err(|_| self.engine.forget(&self.generation.checkpoint()))?;
        let counts = self.engine.counts();
        self.progress.send_modify(|progress| {
            let progress = Arc::make_mut(progress);
            progress.checkpoint = checkpoint;
            progress.counts = counts;
        });
        Ok(())
    }

    /// Tells when it has caught up, and when what had stopped it is over: then all partitions are read again that can be.
    pub(super) fn report_state(&mut self, catching: &mut Catching) {
        if matches!(self.going, State::Building) {
            self.report_left(catching.left(|source| self.engine.next_offset(source)));
            if catching.caught_up() {
                self.going = State::Following;
            }
        }
        let reported = self.progress.borrow().state.clone();
        match reported {
            State::Stopped(_) if !catching.heard_all(self.is_away()) => return,
            State::Stopped(_) => {
                tracing::warn!("all partitions that can be read are read again; following continues")
            }
            State::Building if matches!(self.going, State::Following) => {}
            State::Building | State::Following => return,
        }
        self.pause.reset();
        publish_state(&self.progress, self.going.clone());
    }

    fn report_left(&self, left: u64) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.left != Some(left);
            if changed {
                Arc::make_mut(progress).left = Some(left);
            }
            changed
        });
    }

    /// Whether nobody answers for a partition, by its index.
    fn is_away(&self) -> impl Fn(usize) -> bool + use<E> {
        let progress = self.progress.borrow().clone();
        let all = progress.checkpoint.sources();
        let away: Vec<_> = all.map(|(source, _)| progress.away.contains_key(source)).collect();
        move |source| away[source]
    }

    /// Tells that it stopped, once as long as the reason is the same.
    pub(super) fn report_stopped(&mut self, reason: StopReason) {
        let same = |reported: &State| matches!(reported, State::Stopped(reported) if reported.to_string() == reason.to_string());
        if same(&self.progress.borrow().state) {
            return;
        }
        tracing::error!("the projection stopped: {reason}");
        publish_state(&self.progress, State::Stopped(Arc::new(reason)));
    }
}

pub(super) fn publish_state(progress: &watch::Sender<Arc<Progress>>, state: State) {
    progress.send_modify(|progress| Arc::make_mut(progress).state = state);
}

/// Tells which partitions nobody answers for, and in the log those that come and go.
pub(super) fn report_away(
    progress: &watch::Sender<Arc<Progress>>,
    away: impl IntoIterator<Item = (SourceId, TopicError)>,
) {
    let away: BTreeMap<_, _> = away.into_iter().collect();
    progress.send_if_modified(|progress| {
        let changed = *progress.away != away;
        if changed {
            log_away(&progress.away, &away);
            Arc::make_mut(progress).away = Arc::new(away);
        }
        changed
    });
}

/// One line for each partition; but one for all of them, if no broker can be reached.
fn log_away(before: &BTreeMap<SourceId, TopicError>, now: &BTreeMap<SourceId, TopicError>) {
    let unreachable = |away: &BTreeMap<_, _>| {
        away.values().find(|why| matches!(why, TopicError::Log(_))).map(ToString::to_string)
    };
    match (unreachable(before), unreachable(now)) {
        (None, Some(why)) => tracing::warn!("no partition is followed until the log answers again: {why}"),
        (Some(_), None) => tracing::info!("the log answers again, and following continues"),
        (None, None) => {
            for source in before.keys().filter(|source| !now.contains_key(source)) {
                tracing::info!("{source} is answered for again, and followed");
            }
        }
        (Some(_), Some(_)) => return,
    }
    let is_news = |(source, why): &(&SourceId, &TopicError)| {
        !matches!(why, TopicError::Log(_))
            && before.get(source).is_none_or(|was| matches!(was, TopicError::Log(_)))
    };
    for (_, why) in now.iter().filter(is_news) {
        tracing::warn!("one partition is not followed until it is answered for: {why}");
    }
}

/// Tells when the thread panics, so that nobody waits for a follower that is gone.
pub(super) struct ReportPanic(pub(super) Arc<watch::Sender<Arc<Progress>>>);

impl Drop for ReportPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let detail = "its thread panicked; the log has the details".to_owned();
            publish_state(&self.0, State::Stopped(Arc::new(StopReason::Defect { detail })));
        }
    }
}

/// How far each partition had to be read, and which have been.
#[derive(Default)]
pub(super) struct Catching {
    ends: Vec<Option<i64>>,
    reached: Vec<bool>,
    heard: Vec<bool>,
}

impl Catching {
    /// What the log holds now; the first end of each partition counts.
    pub(super) fn learn(&mut self, log: &[Option<Watermarks>]) {
        self.ends.resize(log.len(), None);
        self.reached.resize(log.len(), false);
        self.heard.resize(log.len(), false);
        for (end, held) in self.ends.iter_mut().zip(log) {
            *end = end.or_else(|| held.map(|held| held.high));
        }
    }

    pub(super) fn forget_heard(&mut self) {
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
        all.forget_heard();
        assert!(!all.heard_all(nobody));
    }
}
