//! The first moments of a generation that is served: nobody is answered from before where it may have been before.
//!
//! Rows are on disk up to half a second after they were served, so one whose process was killed, or whose disk was full,
//! begins a little earlier than it ended. Whatever it answered from is in the log: who has projected what the log held at
//! the start has that again. Queries wait for it as long as it gets further. While nothing more can be read of what is
//! missing they wait for a while, and are then answered from what there is; that other partitions grow is no progress.

use std::sync::Arc;
use std::time::Duration;

use daybook_projection::{Progress, State};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CatchUp {
    Waiting,
    Over,
    /// The projection has stopped, for a reason that does not pass: answers are those of the last good state.
    Stopped,
    /// It did not get further for too long: queries are answered from what there is.
    GivenUp,
    /// The same, but all was read that can be: nothing is missing but partitions that nobody answers for.
    Partly,
}

impl CatchUp {
    /// Whether waiting for more would help nobody.
    pub(super) fn is_ready(self) -> bool {
        matches!(self, Self::Over | Self::Stopped | Self::Partly)
    }
}

/// The first catch-up of one served generation. Where its follower is gone before it is decided, whatever is served next
/// decides.
pub(super) struct FirstCatchUp(watch::Receiver<CatchUp>);

impl FirstCatchUp {
    /// Begins with what is served now; given up after `patience` without progress.
    pub(super) fn begin(progress: watch::Receiver<Arc<Progress>>, patience: Duration) -> Self {
        Self::begin_as(CatchUp::Waiting, progress, patience)
    }

    /// Of a generation that takes over from this one's, and is not behind it.
    pub(super) fn resume(&self, progress: watch::Receiver<Arc<Progress>>, patience: Duration) -> Self {
        Self::begin_as(self.state(), progress, patience)
    }

    fn begin_as(state: CatchUp, progress: watch::Receiver<Arc<Progress>>, patience: Duration) -> Self {
        let (sender, receiver) = watch::channel(state);
        if state != CatchUp::Over {
            tokio::spawn(decide(sender, progress, patience));
        }
        Self(receiver)
    }

    pub(super) fn state(&self) -> CatchUp {
        *self.0.borrow()
    }

    pub(super) fn is_decided(&self) -> bool {
        self.state() != CatchUp::Waiting
    }

    /// Ends when queries may be answered; never, once the follower is gone before.
    pub(super) async fn decided(&self) {
        let mut state = self.0.clone();
        let gone = state.wait_for(|state| *state != CatchUp::Waiting).await.is_err();
        if gone {
            std::future::pending().await
        }
    }
}

async fn decide(
    state: watch::Sender<CatchUp>,
    mut progress: watch::Receiver<Arc<Progress>>,
    patience: Duration,
) {
    let mut left = progress.borrow().left;
    let (mut quiet, mut ticks) = (Duration::ZERO, interval_at(Instant::now() + TICK, TICK));
    // Time in which the process stood still is none in which the log could have been read.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = progress.borrow_and_update().clone();
        match &now.state {
            State::Following => {
                state.send_replace(CatchUp::Over);
                return;
            }
            State::Stopped(reason) if !reason.may_pass() => set(&state, CatchUp::Stopped),
            State::Building | State::Stopped(_) => {}
        }
        // It is more when a partition is back, and that is none.
        if now.left != left {
            quiet = if now.left < left || left.is_none() { Duration::ZERO } else { quiet };
            left = now.left;
        }
        let lacks_only_what_is_away = matches!(now.state, State::Building) && left == Some(0);
        if lacks_only_what_is_away && *state.borrow() == CatchUp::GivenUp {
            set(&state, CatchUp::Partly);
        }
        let waits = *state.borrow() == CatchUp::Waiting;
        tokio::select! {
            changed = progress.changed() => if changed.is_err() { return },
            _ = ticks.tick(), if waits => {
                quiet += TICK;
                if quiet >= patience {
                    tracing::warn!("the log could not be read further in time: queries are answered from what there is");
                    set(&state, if lacks_only_what_is_away { CatchUp::Partly } else { CatchUp::GivenUp });
                }
            }
            () = state.closed() => return,
        }
    }
}

fn set(state: &watch::Sender<CatchUp>, now: CatchUp) {
    state.send_if_modified(|state| std::mem::replace(state, now) != now);
}

#[cfg(test)]
mod tests {
    use daybook_projection::{Checkpoint, RecordAt, StopReason};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn at(left: u64, state: State) -> Arc<Progress> {
        let progress = Progress::start(Arc::new(Checkpoint::zero([("orders.events", 2)])));
        Arc::new(Progress { state, left: Some(left), ..progress })
    }

    fn stopped(reason: StopReason) -> State {
        State::Stopped(Arc::new(reason))
    }

    fn went_back() -> State {
        let at = RecordAt { topic: "orders.events".into(), partition: 0, offset: 9, event_id: None };
        stopped(StopReason::LogWentBack { at: Box::new(at), high: 2 })
    }

    /// Lets so much time go by, and everything that is due within it happen.
    async fn pass(time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn queries_wait_as_long_as_it_gets_further() {
        let (progress, receiver) = watch::channel(at(15, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        for left in (1..15).rev() {
            pass(Duration::from_secs(4)).await;
            progress.send_replace(at(left, State::Building));
            assert_eq!(catching.state(), CatchUp::Waiting);
        }
        progress.send_replace(at(0, State::Following));
        catching.decided().await;
        assert_eq!(catching.state(), CatchUp::Over);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_stood_still_does_not_count() {
        let (progress, receiver) = watch::channel(at(7, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        pass(Duration::from_secs(1)).await;
        tokio::time::advance(Duration::from_secs(600)).await;
        pass(Duration::from_secs(2)).await;
        assert_eq!(catching.state(), CatchUp::Waiting);
        progress.send_replace(at(0, State::Following));
        catching.decided().await;
        assert_eq!(catching.state(), CatchUp::Over);
    }

    #[tokio::test(start_paused = true)]
    async fn without_progress_it_is_given_up_counted_from_where_it_was_served() {
        pass(Duration::from_secs(60)).await;
        let (progress, receiver) = watch::channel(at(7, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        pass(Duration::from_secs(4)).await;
        progress.send_replace(at(7, went_back()));
        assert_eq!(catching.state(), CatchUp::Waiting);
        pass(Duration::from_secs(2)).await;
        assert_eq!(catching.state(), CatchUp::GivenUp, "a log that went back is no progress");
        progress.send_replace(at(0, State::Following));
        pass(Duration::from_secs(1)).await;
        assert_eq!(catching.state(), CatchUp::Over, "in the end it has caught up after all");
    }

    #[tokio::test(start_paused = true)]
    async fn while_others_are_read_a_partition_that_is_away_is_waited_for_no_longer_than_anything_else() {
        let (progress, receiver) = watch::channel(at(3, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        progress.send_replace(at(0, State::Building));
        pass(Duration::from_secs(4)).await;
        // The others are followed.
        progress.send_modify(|progress| Arc::make_mut(progress).counts.applied += 100);
        assert_eq!(catching.state(), CatchUp::Waiting);
        pass(Duration::from_secs(2)).await;
        assert_eq!(catching.state(), CatchUp::Partly);
        assert!(catching.state().is_ready());
        progress.send_replace(at(7, State::Building));
        pass(Duration::from_secs(1)).await;
        assert!(catching.is_decided(), "who has been answered once is answered");
        progress.send_replace(at(0, State::Following));
        pass(Duration::from_secs(1)).await;
        assert_eq!(catching.state(), CatchUp::Over);
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_comes_and_goes_keeps_nobody_waiting_for_ever() {
        let (progress, receiver) = watch::channel(at(0, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        for _ in 0..3 {
            pass(Duration::from_secs(2)).await;
            progress.send_replace(at(7, State::Building));
        }
        assert_eq!(catching.state(), CatchUp::GivenUp, "it has given nothing");
        progress.send_replace(at(0, State::Building));
        pass(Duration::from_secs(1)).await;
        assert_eq!(catching.state(), CatchUp::Partly);
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_not_waited_for() {
        let (progress, receiver) = watch::channel(at(0, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        progress.send_replace(at(0, stopped(StopReason::Defect { detail: String::new() })));
        catching.decided().await;
        assert_eq!(catching.state(), CatchUp::Stopped);
        progress.send_replace(at(0, State::Following));
        pass(Duration::from_secs(1)).await;
        assert_eq!(catching.state(), CatchUp::Over, "it was repaired");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_over_goes_on_where_the_one_before_was() {
        let (progress, receiver) = watch::channel(at(0, State::Building));
        let catching = FirstCatchUp::begin(receiver, PATIENCE);
        let (next_progress, next_receiver) = watch::channel(at(0, State::Building));
        let next = catching.resume(next_receiver, PATIENCE);
        drop(progress);
        pass(Duration::from_secs(1)).await;
        assert!(!catching.is_decided() && !next.is_decided(), "the one that was replaced decides nothing");
        next_progress.send_replace(at(1, State::Following));
        next.decided().await;
        assert!(next.resume(watch::channel(at(0, State::Building)).1, PATIENCE).is_decided());
    }
}
