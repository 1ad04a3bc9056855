//! One partition that is followed, and the events of it that wait to be written.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_kafka::Record;
use daybook_service::{LogOnce, fires};
use daybook_store::Writes;
use daybook_stream::{Admission, Disposition, PartitionState};

use crate::command::Written;
use crate::follow::positions::{FollowedTo, TablePartition};
use crate::follow::quarantine::Quarantine;
use crate::incoming::{self, IncomingFault};
use crate::references::{Followed, reference_row};
use crate::store::keys;
use crate::store::rows::Checkpoint;

pub(super) struct FollowedPartition {
    pub(super) table: usize,
    /// Of what is kept.
    pub(super) form: u32,
    pub(super) state: PartitionState,
    /// Followed up to here, where it ended at the start, it is ready. None while nobody has told where that is.
    pub(super) ready_offset: Option<i64>,
    /// Why nothing is read of it: nobody answers for it.
    pub(super) away: Option<String>,
}

impl FollowedPartition {
    /// How far it has been followed, for those who ask.
    pub(super) fn at(&self) -> FollowedTo {
        FollowedTo {
            next_position: self.state.next_position(),
            next_offset: self.state.next_offset(),
            is_ready: self.ready_offset.is_some_and(|ready| self.state.next_offset() >= ready),
            set_aside: self.state.set_aside(),
            resume_offset: self.state.resume_offset(),
        }
    }

    pub(super) fn place(&self) -> TablePartition {
        (self.table, self.state.partition())
    }

    pub(super) fn apply(
        &mut self,
        followed: &Followed,
        record: &Record<'_>,
        quarantine: &mut Quarantine,
        batch: &mut Batch,
    ) -> Result<(), IncomingFault> {
        let (view, partition) = (incoming::view(record), self.state.partition());
        let Admission { disposition, passing } = self.state.admit_envelope(&view, || record.headers())?;
        for placed in passing.placed() {
            batch.write(quarantine.park_placed(self.table, partition, placed)?);
        }
        match disposition {
            Disposition::Event(envelope) => {
                let read = match quarantine.waits(self.table, envelope.subject) {
                    true => Err(None),
                    false => (followed.read)(&envelope.event_type, &envelope.data).map_err(Some),
                };
                let event_at = Written { partition, position: envelope.position };
                match read {
                    Ok(_) if fires("forget-fact") => {}
                    Ok(update) => batch.write(reference_row(
                        (self.table, envelope.subject),
                        followed.form,
                        update,
                        event_at,
                    )),
                    Err(unreadable) => batch.write(quarantine.park(self.table, &envelope, unreadable)?),
                }
                batch.followed += 1;
            }
            Disposition::Repeated => batch.followed += 1,
            Disposition::Fenced => batch.fenced += 1,
            Disposition::Claim(_) => {}
            Disposition::SetAside { why, is_new: true } => {
                quarantine.set_aside.note(followed.topic, partition, &view, &why);
            }
            Disposition::SetAside { .. } => {}
        }
        self.state.advance(passing);
        Ok(())
    }

    pub(super) fn checkpoint(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let (reached, set_aside) = (self.state.reached(), self.state.set_aside());
        let checkpoint = Checkpoint { reached, set_aside, form: self.form };
        (keys::checkpoint(self.table, self.state.partition()), Some(checkpoint.encode()))
    }
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Writes,
    pub(super) touched: Vec<usize>,
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Events among them, also repeated ones.
    pub(super) followed: u64,
    /// Records of fenced writers among them.
    pub(super) fenced: u64,
}

impl Batch {
    fn write(&mut self, writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        for (key, value) in writes {
            self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            self.writes.push((key, value));
        }
    }
}

/// Says why nothing is followed: when that begins, once a minute from then on, and when it is over.
#[derive(Debug, Default)]
pub(crate) struct FollowReporter {
    said: LogOnce,
    /// Since when it fails again and again.
    since: Mutex<Option<Instant>>,
}

impl FollowReporter {
    pub(super) fn fails(&self, reason: &str) {
        if let Some(more) = self.fails_at(reason, Instant::now()) {
            tracing::warn!("not following: {reason}; trying again{more}");
        }
    }

    pub(super) fn recovered(&self) {
        if let Some((lasted, more)) = self.recovered_at(Instant::now()) {
            tracing::info!(after_s = lasted.as_secs(), "following continues{more}");
        }
    }

    fn fails_at(&self, reason: &str, now: Instant) -> Option<String> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        self.said.say_like_at("fails", reason, now)
    }

    /// If anything has failed, how long it lasted.
    fn recovered_at(&self, now: Instant) -> Option<(Duration, String)> {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((now.saturating_duration_since(since), self.said.say_at("resumes", now)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_for_minutes_is_said_once_a_minute_and_when_it_is_over() {
        let (said, began) = (FollowReporter::default(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(said.recovered_at(at(0)), None, "nothing has failed");
        let lines: Vec<_> = (0..240).filter_map(|tried| said.fails_at("a page", at(tried * 500))).collect();
        assert_eq!(lines, ["", " (119 more of this kind before)"]);
        let other = said.fails_at("no broker", at(120_000));
        assert_eq!(other.as_deref(), Some(""), "another reason hides behind none");
        assert_eq!(said.recovered_at(at(130_000)), Some((Duration::from_secs(130), String::new())));
        assert_eq!(said.recovered_at(at(131_000)), None, "it is over");
    }
}
