//! What is said of records that are set aside: in the log, and to those who ask.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::admit::RecordView;
use crate::set_aside::{SetAside, Unowned};

/// First bytes of a record that the log shows.
const SHOWN_BYTES_MAX: usize = 48;
/// After the first one, how many were set aside is reported so often.
const REPORTED_EVERY: Duration = Duration::from_secs(60);

/// What was set aside of one partition, for those who ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAsideShown {
    pub topic: String,
    pub partition: i32,
    pub records: u64,
    pub first_offset: i64,
    pub last_offset: i64,
    /// Whether no event came behind the last one: until then nobody knows whether it was one.
    pub end_unproven: bool,
}

impl SetAside {
    /// For those who ask; none if there is nothing to show. `resume_offset` lies right behind the event applied last.
    pub fn shown(&self, topic: &str, partition: i32, resume_offset: i64) -> Option<SetAsideShown> {
        let Self { records, first_offset, last_offset } = *self;
        let end_unproven = self.lies_behind(resume_offset);
        let topic = topic.to_owned();
        let shown = SetAsideShown { topic, partition, records, first_offset, last_offset, end_unproven };
        (records > 0).then_some(shown)
    }
}

/// What one reader says in the log of records that it sets aside: the first in full, then a count a minute.
#[derive(Debug, Default)]
pub struct SetAsideLog {
    /// When something was said last.
    said_at: Option<Instant>,
    /// Set aside since.
    unsaid: u64,
}

impl SetAsideLog {
    /// A record of a topic's partition was set aside.
    pub fn note(&mut self, topic: &str, partition: i32, record: &RecordView<'_>, why: &Unowned) {
        self.unsaid += 1;
        if !self.is_due(Instant::now()) {
            return;
        }
        let (offset, bytes) = (record.offset, record.value.map_or(0, <[u8]>::len));
        let more = std::mem::take(&mut self.unsaid) - 1;
        let first_bytes = Shown(record.value.unwrap_or_default()).to_string();
        tracing::warn!(
            topic,
            partition,
            offset,
            bytes,
            first_bytes,
            more,
            "a record is set aside, because it is no event of the topic's service: {why}; find out who wrote it"
        );
    }

    /// Says how many there were, once a minute is over.
    pub fn tick(&mut self) {
        if self.unsaid > 0 && self.is_due(Instant::now()) {
            let records = std::mem::take(&mut self.unsaid);
            tracing::warn!(records, "records were set aside that are no events of their topics' services");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due =
            self.said_at.is_none_or(|said_at| now.saturating_duration_since(said_at) >= REPORTED_EVERY);
        if is_due {
            self.said_at = Some(now);
        }
        is_due
    }
}

/// The first bytes of a record, as a line of log can show them.
struct Shown<'b>(&'b [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES_MAX)];
        write!(f, "{}", shown.escape_ascii())
    }
}

/// What was set aside of one topic, noted by several who read it one after the other.
#[derive(Debug, Default)]
pub struct SetAsideNotes(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    log: SetAsideLog,
    partitions: BTreeMap<i32, SetAside>,
}

impl SetAsideNotes {
    /// A record was set aside, perhaps not for the first time.
    pub fn note(&self, topic: &str, partition: i32, record: &RecordView<'_>, why: &Unowned) {
        let mut notes = self.lock();
        if notes.partitions.entry(partition).or_default().count(record.offset) {
            notes.log.note(topic, partition, record, why);
        }
        notes.log.tick();
    }

    pub fn records(&self) -> u64 {
        self.lock().partitions.values().map(|of| of.records).sum()
    }

    /// For those who ask. Who writes the topic knows its events without the log, so no end is unproven.
    pub fn shown(&self, topic: &str) -> Vec<SetAsideShown> {
        let notes = self.lock();
        let shown = |(partition, of): (&i32, &SetAside)| of.shown(topic, *partition, i64::MAX);
        notes.partitions.iter().filter_map(shown).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_how_many_there_were_a_minute_later() {
        let (mut log, began) = (SetAsideLog::default(), Instant::now());
        assert!(log.is_due(began));
        assert!(!log.is_due(began + REPORTED_EVERY / 2));
        assert!(log.is_due(began + REPORTED_EVERY));
        assert!(!log.is_due(began + REPORTED_EVERY));
    }

    #[test]
    fn the_first_bytes_are_shown_on_one_line() {
        assert_eq!(Shown(b"a\n\xff").to_string(), r"a\n\xff");
        assert_eq!(Shown(&[b'a'; 5_000_000]).to_string().len(), SHOWN_BYTES_MAX);
    }
}
