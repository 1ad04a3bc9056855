//! Whether the log is still the one that a reader follows, asked again and again beside the reader. Pure: the caller looks at records.
//!
//! A log that was made anew, or another cluster's, may have as many records as the one that was read. No event of it is applied
//! ([`crate::sequence`]), but what looks repeated or superseded is skipped, and the reader would wait at its end and say that it has all.
//! And a client that hangs does not say so. Whoever has a doubt looks for its place again ([`crate::place`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::place::{self, Compared, Place};

/// How long nothing may be read of a partition that has more. Far longer than a client takes to find another leader.
pub const UNREAD_MAX: Duration = Duration::from_secs(30);
/// How often the log is asked for the event applied last of each partition.
pub const ASKED_EVERY: Duration = Duration::from_secs(30);

/// A partition that is followed, and what the log holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// What was applied.
    pub compared: Compared,
    /// Kafka's offset up to where it was read, as far as that is noted.
    pub next_offset: i64,
    /// What [`Ends`] says of it. What lies between that offset and the end may be no record, or one that is not noted yet.
    pub ended: Option<u64>,
}

/// How often the present reader has come to the end of each partition. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Ends(Arc<Mutex<Vec<Option<u64>>>>);

impl Ends {
    /// A new reader of so many partitions has come to none.
    pub fn begin(&self, partitions: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = vec![None; partitions];
    }

    /// It has come to the end of a partition, by its index.
    pub fn reach(&self, partition: usize) {
        if let Some(ended) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(partition) {
            *ended = Some(ended.unwrap_or(0) + 1);
        }
    }

    /// How often it has, of each; none of one that it has not come to.
    #[must_use]
    pub fn all(&self) -> Vec<Option<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How far a partition was read when that was looked at.
#[derive(Debug, Clone, Copy)]
struct Read {
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
    /// Its event applied last is not where it was.
    #[error("it does not have what was read of it where it was")]
    Moved,
}

/// Looks again and again.
#[derive(Debug, Clone)]
pub struct Doubts {
    /// Per partition that is answered for.
    read: Vec<Option<Read>>,
    asked_at: Instant,
}

impl Doubts {
    /// Has none yet.
    #[must_use]
    pub fn begin(now: Instant) -> Self {
        Self { read: Vec::new(), asked_at: now }
    }

    /// The first doubt, and the index of its partition. `partitions` has none where nobody answers; `records` is as for
    /// [`place::places`], and is asked every [`ASKED_EVERY`] only.
    ///
    /// # Errors
    /// What `records` fails with.
    pub fn look<E>(
        &mut self,
        now: Instant,
        partitions: &[Option<Followed>],
        mut records: impl FnMut(&[(usize, i64)]) -> Result<Vec<Option<(u64, Uuid)>>, E>,
    ) -> Result<Option<(usize, Doubt)>, E> {
        if let Some(unread) = self.unread(now, partitions) {
            return Ok(Some((unread, Doubt::Unread)));
        }
        if now.saturating_duration_since(self.asked_at) < ASKED_EVERY {
            return Ok(None);
        }
        self.asked_at = now;
        // Of what nothing was applied, nothing can be elsewhere.
        let has_some = |of: &Followed| of.compared.reached.next_position > 0;
        let here =
            partitions.iter().enumerate().filter_map(|(index, of)| Some((index, of.filter(has_some)?)));
        let (indices, here): (Vec<_>, Vec<_>) = here.unzip();
        let places = place::places(here.iter().map(|of| of.compared), |looks| {
            let looks: Vec<_> = looks.iter().map(|(here, offset)| (indices[*here], *offset)).collect();
            records(&looks)
        })?;
        let moved = here.iter().zip(places).position(|(of, place)| !of.is_at(place));
        Ok(moved.map(|here| (indices[here], Doubt::Moved)))
    }

    /// The first partition of which nothing was read for so long; it is told once in that time.
    fn unread(&mut self, now: Instant, partitions: &[Option<Followed>]) -> Option<usize> {
        self.read.resize(partitions.len(), None);
        let mut found = None;
        for (index, (of, read)) in partitions.iter().zip(&mut self.read).enumerate() {
            if let Some((of, before)) = of.zip(*read)
                && of.waits(&before)
            {
                if now.saturating_duration_since(before.since) < UNREAD_MAX {
                    continue;
                }
                found = found.or(Some(index));
            }
            let noted = |Followed { compared, next_offset, ended }| {
                let high = compared.high;
                Read { since: now, next_offset, ended, high }
            };
            *read = of.map(noted);
        }
        found
    }
}

impl Followed {
    /// Whether the log still has everything where it was read.
    #[must_use]
    pub fn is_at(&self, place: Place) -> bool {
        self.next_offset <= self.compared.high && place == Place::At(self.compared.reached.offset)
    }

    /// Whether nothing was read since, and there is more.
    fn waits(&self, before: &Read) -> bool {
        let end_read = if before.ended.is_some() { before.high } else { self.next_offset };
        (self.next_offset, self.ended) == (before.next_offset, before.ended) && end_read < self.compared.high
    }
}
