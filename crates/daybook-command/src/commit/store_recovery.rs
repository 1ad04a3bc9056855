//! What the committer does while the store or the journal fails: it acknowledges nothing, and tries to get them back. What
//! must not be gone on with ends the process.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use daybook_journal::{AppendError, Group, Reader};
use daybook_service::{LogOnce, fires};
use daybook_store::{Store, StoreError};

use crate::aggregate::Aggregate;
use crate::command::{CommandError, Outcome, Reply};
use crate::commit::{Committer, Gathered, Work};
use crate::metrics::UNAVAILABLE;
use crate::outbox::positions::Positions;
use crate::reconcile;
use crate::settings::Limits;
use crate::store::index::{self, CommitError};
use crate::store::keys;
use crate::store::rows::RowError;
use crate::store::{put_aside, takes_writes};

/// An index that is damaged is opened afresh once: what sled has in memory may have been at fault.
const INDEX_FAILURES_MAX: u32 = 2;
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

fn is_no_room(error: &CommitError) -> bool {
    matches!(error, CommitError::Journal(AppendError::NoRoom { .. }))
}

impl<A: Aggregate> Committer<A> {
    /// Refuses everything until the store can be opened, read and written again, has all that the journal has, and the
    /// journal has room. Returns false if the service stops before that; after the `stop` there is one attempt.
    ///
    /// # Errors
    /// They must not be gone on with. Everything waiting is refused; the process has to end.
    pub(super) fn wait_until_writable(
        &mut self,
        error: CommitError,
        stop: bool,
    ) -> Result<bool, CommitError> {
        tracing::error!(%error, "the store fails; commands are refused until it can be written again");
        self.metrics.store_failures.inc();
        self.report_failure(&error);
        match error {
            // Of what a failed sync was about, the system may have forgotten that it is not on the disk.
            CommitError::Journal(AppendError::Failed { .. } | AppendError::Unusable(_)) => return Err(error),
            // Checked before anything is handed over; opening the store afresh would not help.
            CommitError::Store(RowError::Store(error @ StoreError::TooLarge { .. })) => {
                return Err(CommitError::TooLarge(error));
            }
            _ => {}
        }
        self.index_failures += u32::from(error.is_of_the_index());
        if self.index_failures >= INDEX_FAILURES_MAX && takes_writes(self.syncing.dir()).is_ok() {
            return Err(self.give_index_up(&error));
        }
        let said = LogOnce::new();
        loop {
            // What Kafka has meanwhile may give the room.
            self.retire();
            let well = if is_no_room(&error) { self.has_room() } else { self.reopen() };
            match well {
                Ok(()) if !fires("stay-full") => break,
                Ok(()) => {}
                Err(error) if error.is_of_the_index() => return Err(self.give_index_up(&error)),
                Err(error) => {
                    if let Some(more) = said.say("fails") {
                        tracing::error!(error = %error, "the store still fails{more}");
                    }
                }
            }
            if stop || !self.refuse_for(REOPEN_PAUSE, &error) {
                return Ok(false);
            }
        }
        tracing::info!("the store can be written again");
        Ok(true)
    }

    /// Reported before anybody gets its answer: whoever was refused finds the reason in `/health/ready`.
    pub(super) fn report_failure(&self, error: &CommitError) {
        match is_no_room(error) {
            true => self.health.no_room(error.to_string()),
            false => self.health.failed(error.to_string()),
        }
    }

    /// Nothing has failed but that a segment could not be made.
    fn has_room(&self) -> Result<(), CommitError> {
        match self.journal.no_room() {
            Some(reason) => Err(CommitError::NoRoom(reason)),
            None => {
                self.health.recovered();
                Ok(())
            }
        }
    }

    fn reopen(&mut self) -> Result<(), CommitError> {
        {
            // A disk that hangs does so here; a large store may take long to be opened.
            let _writing = self.health.writing();
            takes_writes(self.syncing.dir()).map_err(|error| CommitError::NoRoom(error.to_string()))?;
            // Opening the store reads all of it: not again and again for a journal that has no room.
            if let Some(reason) = self.journal.no_room() {
                return Err(CommitError::NoRoom(reason));
            }
        }
        self.syncing.reopen(&self.journal)?;
        // What was followed and not synced may be gone, and the checkpoints with it.
        self.followed.begin_again();
        // What the journal has was decided, also where the store could not be told at once.
        self.counters = reconcile::counters(&self.reader);
        self.health.recovered();
        self.positions.set_durable(self.counters.iter().map(|counter| counter.next).collect());
        Ok(())
    }

    /// The disk is well, and the index is not: it goes aside, and the next start builds it again; or it is left, if this one could
    /// not have built it.
    fn give_index_up(&self, error: &impl std::fmt::Display) -> CommitError {
        let reason = error.to_string();
        if self.store.is_all_there_is() {
            return CommitError::IndexLeft { reason };
        }
        match put_aside(self.syncing.dir()) {
            Ok(aside) => CommitError::IndexAside { reason, aside },
            Err(error) => CommitError::NoRoom(format!("{error}; {reason}")),
        }
    }

    fn refuse_for(&self, pause: Duration, error: &CommitError) -> bool {
        let until = Instant::now() + pause;
        loop {
            match self.work.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(work) => refuse(work, error),
                Err(RecvTimeoutError::Timeout) => return true,
            }
        }
    }
}

/// Of the bytes that a journal may have, those that commands leave for the segment that is written, for the spare one, and
/// for what is carried into them.
const JOURNAL_BYTES_RESERVED: u64 = 16 * 1024 * 1024;

/// Why no command may write anything at present, if it is so.
pub(crate) fn fullness(limits: &Limits, positions: &Positions, journal: &Reader) -> Option<CommandError> {
    let (unsent, bytes) = (positions.unsent(), journal.bytes());
    if unsent >= limits.unsent_events_max {
        return Some(CommandError::OutboxFull { unsent });
    }
    let full = bytes.saturating_add(JOURNAL_BYTES_RESERVED) > limits.journal_bytes_max;
    full.then_some(CommandError::JournalFull { bytes, unsent, keys: journal.keys() })
}

impl<A: Aggregate> Committer<A> {
    /// Answers a batch that is written, or could not be.
    pub(super) fn answer(&self, gathered: Gathered, failure: Option<&CommitError>) {
        failure.iter().for_each(|error| self.report_failure(error));
        for (reply_to, reply) in gathered.waiting {
            let reply = match (failure, reply) {
                (Some(error), Ok(_)) => Err(store_fails(error)),
                (_, reply) => reply,
            };
            self.metrics.command(counted_as(&reply));
            // Nobody waits any more if the client has gone; the command stands all the same.
            let _ = reply_to.send(reply);
        }
        if failure.is_none() {
            // An error means that the follower has ended.
            for done in gathered.followed {
                let _ = done.send(());
            }
        }
    }
}

/// Answers a command that is not decided. Whoever follows hands its rows over once more.
pub(super) fn refuse<A: Aggregate>(work: Work<A>, error: &CommitError) {
    if let Work::Command(job) = work {
        // Nobody waits any more if the client has gone.
        let _ = job.reply_to.send(Err(store_fails(error)));
    }
}

pub(super) fn store_fails(error: &impl std::fmt::Display) -> CommandError {
    CommandError::StoreFails { detail: error.to_string() }
}

/// As what of `daybook_commands_total` it counts. Rejected is what a rule, a version or a unique key refuses; unchanged what was
/// decided, and had nothing to change.
fn counted_as(reply: &Result<Reply, CommandError>) -> &'static str {
    match reply {
        Err(CommandError::KeyReused | CommandError::TooLarge { .. }) => "rejected",
        Err(_) => UNAVAILABLE,
        Ok(reply) if reply.repeated => "repeated",
        Ok(Reply { outcome: Outcome::Rejected(_), .. }) => "rejected",
        Ok(Reply { outcome: Outcome::Accepted(accepted), .. }) if accepted.written.is_empty() => "unchanged",
        Ok(_) => "accepted",
    }
}

/// Groups that a process which is killed has answered and forgotten. None in a build without failpoints.
#[derive(Debug, Default)]
pub(crate) struct HeldBack(Vec<Group>);

impl HeldBack {
    pub(super) fn hold(&mut self, store: &Store, group: Group) -> Result<(), StoreError> {
        let shown = index::batch(group.writes.clone()).into_iter().filter(|(key, _)| !keys::is_counter(key));
        store.apply(shown.collect())?;
        self.0.push(group);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Vec<Group> {
        std::mem::take(&mut self.0)
    }
}
