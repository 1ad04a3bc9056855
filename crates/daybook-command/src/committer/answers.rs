//! What the committer answers, and why it may answer with nothing decided.

use daybook_journal::Reader;

use super::{CommitError, Committer, Gathered, Work};
use crate::aggregate::Aggregate;
use crate::command::{Reply, Undecided};
use crate::metrics::CountedAs;
use crate::outcome::Outcome;
use crate::positions::Positions;
use crate::settings::Limits;

/// Of the bytes that a journal may have, those that commands leave for the segment that is written, for the spare one, and
/// for what is carried into them.
const JOURNAL_BYTES_RESERVED: u64 = 16 * 1024 * 1024;

/// Why no command may write anything at present, if it is so.
pub(crate) fn fullness(limits: &Limits, positions: &Positions, journal: &Reader) -> Option<Undecided> {
    let (unsent, bytes) = (positions.unsent(), journal.bytes());
    if unsent >= limits.unsent_events_max {
        return Some(Undecided::OutboxFull { unsent });
    }
    let full = bytes.saturating_add(JOURNAL_BYTES_RESERVED) > limits.journal_bytes_max;
    full.then_some(Undecided::JournalFull { bytes, unsent, keys: journal.keys() })
}

impl<A: Aggregate> Committer<A> {
    /// Answers a group that is written, or could not be.
    pub(super) fn answer(&self, gathered: Gathered, failure: Option<&CommitError>) {
        failure.iter().for_each(|error| self.tell_failed(error));
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

pub(super) fn store_fails(error: &impl std::fmt::Display) -> Undecided {
    Undecided::StoreFails { detail: error.to_string() }
}

fn counted_as(reply: &Result<Reply, Undecided>) -> CountedAs {
    match reply {
        Err(Undecided::KeyReused | Undecided::TooLarge { .. }) => CountedAs::Rejected,
        Err(_) => CountedAs::Unavailable,
        Ok(reply) if reply.repeated => CountedAs::Repeated,
        Ok(Reply { outcome: Outcome::Rejected(_), .. }) => CountedAs::Rejected,
        Ok(Reply { outcome: Outcome::Accepted(accepted), .. }) if accepted.written.is_empty() => {
            CountedAs::Unchanged
        }
        Ok(_) => CountedAs::Accepted,
    }
}
