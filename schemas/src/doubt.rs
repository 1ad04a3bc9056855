//! Whether the log is still the one that a reader follows, asked again and again beside the reader. Pure: the caller looks at records.
//!
//! A log that was made anew, or another cluster's, may have as many records as the one that was read. No event of it is applied
//! ([`crate::sequence`]), but what looks repeated or superseded is skipped, and the reader would wait at its end and say that it has all.
//! So would it in the own log, filled again by its service: what was read behind the event applied last, mere claims, has raised the
//! epoch in force. And a client that hangs does not say so. Whoever has a doubt looks for its place again ([`crate::place`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long nothing may be read of a partition that has more. Far longer than a client takes to find another leader.
pub const UNREAD_MAX: Duration = Duration::from_secs(30);
/// How often the log is asked for the record of each partition that counted last.
pub const ASKED_EVERY: Duration = Duration::from_secs(30);

/// A partition that is followed, and what the log holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Kafka's offset up to where it was read, as far as that is noted.
    pub next_offset: i64,
    /// First offset that the log holds.
    pub low: i64,
    /// The log's end offset.
    pub high: i64,
    /// What its reader has read.
    pub reading: Reading,
}

/// What the present reader has read of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// How often it has come to the end; none before the first time. What lies between the offset that is noted and the end may be no
    /// record, or one that is not noted yet.
    pub ended: Option<u64>,
    /// Offset and id of the last record that counted: an event that was applied, or a claim. What was skipped may be of another log.
    pub last: Option<(i64, Uuid)>,
}

/// What the present reader has read of each partition. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Readings(Arc<Mutex<Vec<Reading>>>);

impl Readings {
    /// A new reader begins behind these records.
    pub fn begin(&self, last: impl IntoIterator<Item = Option<(i64, Uuid)>>) {
        let begun = last.into_iter().map(|last| Reading { ended: None, last });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun.collect();
    }

    /// It has come to the end of a partition, by its index.
    pub fn reach(&self, partition: usize) {
        if let Some(of) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(partition) {
            of.ended = Some(of.ended.unwrap_or(0) + 1);
        }
    }

    /// These are the last records that counted by now.
    pub fn read(&self, last: impl IntoIterator<Item = Option<(i64, Uuid)>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(last).for_each(|(of, last)| of.last = last);
    }

    /// Of a partition, by its index; nothing if there is no reader.
    #[must_use]
    pub fn of(&self, partition: usize) -> Reading {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(partition).copied().unwrap_or_default()
    }
}

/// How far a partition was read when that was looked at.
#[derive(Debug, Clone, Copy)]
struct Looked {
    since: Instant,
    next_offset: i64,
    ended: Option<u64>,
    /// Its end offset then.
    high: i64,
}

/// What is doubtful about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Nothing was read of it for [`UNREAD_MAX`].
    #[error("nothing was read of it for long, although it has more")]
    Unread,
    /// The record that counted last is not where it was.
    #[error("it does not have what was read of it where it was")]
    Moved,
}

/// Looks again and again.
#[derive(Debug, Clone)]
pub struct Doubts {
    /// Per partition that is answered for.
    looked: Vec<Option<Looked>>,
    asked_at: Instant,
}

impl Doubts {
    /// Has none yet.
    #[must_use]
    pub fn begin(now: Instant) -> Self {
        Self { looked: Vec::new(), asked_at: now }
    }

    /// The first doubt, and the index of its partition. `partitions` has none where nobody answers; `ids` is asked for records by index
    /// in it and offset, several at once, and gives their ids (see [`crate::place::id`]); but every [`ASKED_EVERY`] only.
    ///
    /// # Errors
    /// What `ids` fails with.
    pub fn look<E>(
        &mut self,
        now: Instant,
        partitions: &[Option<Followed>],
        ids: impl FnOnce(&[(usize, i64)]) -> Result<Vec<Option<Uuid>>, E>,
    ) -> Result<Option<(usize, Doubt)>, E> {
        if let Some(unread) = self.unread(now, partitions) {
            return Ok(Some((unread, Doubt::Unread)));
        }
        if now.saturating_duration_since(self.asked_at) < ASKED_EVERY {
            return Ok(None);
        }
        self.asked_at = now;
        let last = |(index, of): (usize, &Option<Followed>)| {
            let of = (*of)?;
            let (offset, id) = of.reading.last.filter(|(offset, _)| *offset >= of.low)?;
            Some((index, offset, id, offset < of.high))
        };
        let last: Vec<_> = partitions.iter().enumerate().filter_map(last).collect();
        if let Some((index, ..)) = last.iter().find(|(.., is_there)| !is_there) {
            return Ok(Some((*index, Doubt::Moved)));
        }
        let found = match &last[..] {
            [] => Vec::new(),
            last => ids(&last.iter().map(|(index, offset, ..)| (*index, *offset)).collect::<Vec<_>>())?,
        };
        // What has no id that can be read, had none before.
        let moved =
            last.iter().zip(found).find(|((.., id, _), found)| found.is_some_and(|found| found != *id));
        Ok(moved.map(|((index, ..), _)| (*index, Doubt::Moved)))
    }

    /// The first partition of which nothing was read for so long; it is told once in that time.
    fn unread(&mut self, now: Instant, partitions: &[Option<Followed>]) -> Option<usize> {
        self.looked.resize(partitions.len(), None);
        let mut found = None;
        for (index, (of, looked)) in partitions.iter().zip(&mut self.looked).enumerate() {
            if let Some((of, before)) = of.zip(*looked)
                && of.waits(&before)
            {
                if now.saturating_duration_since(before.since) < UNREAD_MAX {
                    continue;
                }
                found = found.or(Some(index));
            }
            let noted = |Followed { next_offset, high, reading, .. }| Looked {
                since: now,
                next_offset,
                ended: reading.ended,
                high,
            };
            *looked = of.map(noted);
        }
        found
    }
}

impl Followed {
    /// Whether nothing was read since, and there is more.
    fn waits(&self, before: &Looked) -> bool {
        let end_read = if before.ended.is_some() { before.high } else { self.next_offset };
        (self.next_offset, self.reading.ended) == (before.next_offset, before.ended) && end_read < self.high
    }
}
