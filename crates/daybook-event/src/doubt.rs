//! Whether the log is still the one that a reader follows, asked again and again beside the reader. Pure: the caller looks at records.
//!
//! A log that was recreated, or another cluster's, may have as many records as the one that was read. No event of it is applied
//! ([`crate::sequence`]), but what looks repeated or fenced is skipped, and the reader would wait at its end and say that it has all.
//! So would it in the own log, filled again by its service: what was read behind the event applied last, mere claims, has raised the
//! epoch in force. And a client that hangs does not say so. A reader with a doubt looks for its place again ([`crate::place`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::place::Stamp;

/// How long nothing may be read of a partition that has more. Far longer than a client takes to find another leader.
pub const UNREAD_MAX: Duration = Duration::from_secs(30);
/// How often the log is asked for the record of each partition that counted last.
pub const ASKED_EVERY: Duration = Duration::from_secs(30);

/// Records that are kept of a partition to ask for; of more, those in between are not asked for.
pub const KEPT_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Kafka's offset up to where it was read, as far as that is noted.
    pub next_offset: i64,
    /// First offset that the log holds.
    pub low: i64,
    /// The log's end offset, asked for after `reading` was taken.
    pub high: i64,
    pub reading: Reading,
}

/// What the present reader has read of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// How often it has come to the end; none before the first time. What lies between the offset that is noted and the end may be no
    /// record, or one that is not noted yet.
    pub ended: Option<u64>,
    /// What shows whether the log is still the same.
    pub counted: Counted,
}

/// Offsets and stamps of records that counted: the event that was applied last, and the claims behind it. An event vouches for all that
/// came before, by its position and its link; a claim may be of a log that took the place of the one with the claim before it. What
/// was skipped says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted(Vec<(i64, Stamp)>);

impl Counted {
    /// Reading begins behind this event, if it begins behind one.
    pub fn behind(event: Option<(i64, Stamp)>) -> Self {
        Self(event.into_iter().collect())
    }

    pub fn event(&mut self, offset: i64, stamp: Stamp) {
        self.0.clear();
        self.0.push((offset, stamp));
    }

    /// A writer's claim is in force.
    pub fn claim(&mut self, offset: i64, stamp: Stamp) {
        self.0.truncate(KEPT_MAX - 1);
        self.0.push((offset, stamp));
    }
}

/// What the present reader has read of each partition. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Readings(Arc<Mutex<Vec<Reading>>>);

impl Readings {
    /// A new reader begins here.
    pub fn begin<'c>(&self, counted: impl IntoIterator<Item = &'c Counted>) {
        let begun = counted.into_iter().map(|counted| Reading { ended: None, counted: counted.clone() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun.collect();
    }

    /// It has come to the end of a partition, by its index.
    pub fn reach(&self, partition: usize) {
        if let Some(of) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(partition) {
            of.ended = Some(of.ended.unwrap_or(0) + 1);
        }
    }

    /// This has counted by now.
    pub fn read<'c>(&self, counted: impl IntoIterator<Item = &'c Counted>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(counted).for_each(|(of, counted)| of.counted.clone_from(counted));
    }

    /// Of so many partitions; nothing where there is no reader.
    pub fn all(&self, partitions: usize) -> Vec<Reading> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.resize(partitions, Reading::default());
        all
    }
}

#[derive(Debug, Clone, Copy)]
struct Snapshot {
    since: Instant,
    next_offset: i64,
    ended: Option<u64>,
    high: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("it has more records, but none was read for a long time")]
    Unread,
    #[error("the record that was read last is no longer at its offset")]
    Moved,
}

#[derive(Debug, Clone)]
pub struct Doubts {
    snapshots: Vec<Option<Snapshot>>,
    /// Per partition: the last record that the log was asked for and had.
    had: Vec<Option<(i64, Stamp)>>,
    asked_at: Instant,
}

impl Doubts {
    pub fn begin(now: Instant) -> Self {
        Self { snapshots: Vec::new(), had: Vec::new(), asked_at: now }
    }

    /// The first doubt, and the index of its partition. `partitions` has none where nobody answers; `stamps` is asked for records by index
    /// in it and offset, one of each partition at a time, and gives their stamps (see [`crate::place::stamp`]); but every [`ASKED_EVERY`] only.
    pub fn check<E>(
        &mut self,
        now: Instant,
        partitions: &[Option<Followed>],
        stamps: impl FnMut(&[(usize, i64)]) -> Result<Vec<Option<Stamp>>, E>,
    ) -> Result<Option<(usize, Doubt)>, E> {
        if let Some(unread) = self.unread(now, partitions) {
            return Ok(Some((unread, Doubt::Unread)));
        }
        if now.saturating_duration_since(self.asked_at) < ASKED_EVERY {
            return Ok(None);
        }
        self.asked_at = now;
        Ok(self.moved(partitions, stamps)?.map(|index| (index, Doubt::Moved)))
    }

    /// The first partition that does not have what counted.
    fn moved<E>(
        &mut self,
        partitions: &[Option<Followed>],
        mut stamps: impl FnMut(&[(usize, i64)]) -> Result<Vec<Option<Stamp>>, E>,
    ) -> Result<Option<usize>, E> {
        self.had.resize(partitions.len(), None);
        let asked = |(of, had): (&Option<Followed>, &Option<(i64, Stamp)>)| {
            of.as_ref().map_or_else(Vec::new, |of| of.asked_for(*had))
        };
        let asked: Vec<_> = partitions.iter().zip(&self.had).map(asked).collect();
        let ends_before = |of: &Option<Followed>, asked: &[(i64, Stamp)]| {
            of.as_ref().is_some_and(|of| asked.last().is_some_and(|(offset, _)| *offset >= of.high))
        };
        if let Some(short) = partitions.iter().zip(&asked).position(|(of, asked)| ends_before(of, asked)) {
            return Ok(Some(short));
        }
        for round in 0..KEPT_MAX {
            let of_round = |(index, asked): (usize, &Vec<(i64, Stamp)>)| Some((index, *asked.get(round)?));
            let of_round: Vec<_> = asked.iter().enumerate().filter_map(of_round).collect();
            if of_round.is_empty() {
                break;
            }
            let looks: Vec<_> = of_round.iter().map(|(index, (offset, _))| (*index, *offset)).collect();
            // What has no stamp that can be read, had none before.
            let is_other = |((_, (_, stamp)), found): &(&(usize, (i64, Stamp)), Option<Stamp>)| {
                found.is_some_and(|found| found != *stamp)
            };
            if let Some(((index, _), _)) = of_round.iter().zip(stamps(&looks)?).find(is_other) {
                return Ok(Some(*index));
            }
        }
        for (had, asked) in self.had.iter_mut().zip(&asked) {
            *had = asked.last().copied().or(*had);
        }
        Ok(None)
    }

    /// The first partition of which nothing was read for so long; it is reported once in that time.
    fn unread(&mut self, now: Instant, partitions: &[Option<Followed>]) -> Option<usize> {
        self.snapshots.resize(partitions.len(), None);
        let mut found = None;
        for (index, (of, snapshot)) in partitions.iter().zip(&mut self.snapshots).enumerate() {
            if let (Some(of), Some(before)) = (of, &*snapshot)
                && of.waits(before)
            {
                if now.saturating_duration_since(before.since) < UNREAD_MAX {
                    continue;
                }
                found = found.or(Some(index));
            }
            let noted = |of: &Followed| Snapshot {
                since: now,
                next_offset: of.next_offset,
                ended: of.reading.ended,
                high: of.high,
            };
            *snapshot = of.as_ref().map(noted);
        }
        found
    }
}

impl Followed {
    /// What counted since this was there, and this once more: another log may have come behind it. What was deleted is not asked for.
    fn asked_for(&self, had: Option<(i64, Stamp)>) -> Vec<(i64, Stamp)> {
        let kept = &self.reading.counted.0;
        let from = had.and_then(|had| kept.iter().position(|kept| *kept == had)).unwrap_or(0);
        kept[from..].iter().copied().filter(|(offset, _)| *offset >= self.low).collect()
    }

    /// Whether nothing was read since, and there is more.
    fn waits(&self, before: &Snapshot) -> bool {
        let end_read = if before.ended.is_some() { before.high } else { self.next_offset };
        (self.next_offset, self.reading.ended) == (before.next_offset, before.ended) && end_read < self.high
    }
}
