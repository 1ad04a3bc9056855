//! Whether the log is still the one that a reader follows, asked again and again beside the reader. Pure: the caller looks at records.
//!
//! A log that was made anew, or another cluster's, may have as many records as the one that was read. No event of it is applied
//! ([`crate::sequence`]), but what looks repeated or superseded is skipped, and the reader would wait at its end and say that it has all.
//! And a client that hangs does not say so. Whoever has a doubt looks for its place again ([`crate::place`]).

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
    /// Kafka's offset up to where it was read.
    pub next_offset: i64,
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
    /// Per partition: the offset up to where it was read, and since when.
    unread: Vec<(i64, Instant)>,
    asked_at: Instant,
}

impl Doubts {
    /// Has none yet.
    #[must_use]
    pub fn begin(now: Instant) -> Self {
        Self { unread: Vec::new(), asked_at: now }
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
        let here = partitions.iter().enumerate().filter_map(|(index, of)| Some((index, (*of)?)));
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
        self.unread.resize(partitions.len(), (-1, now));
        let mut found = None;
        for (index, (of, since)) in partitions.iter().zip(&mut self.unread).enumerate() {
            let waits = of.filter(|of| of.next_offset < of.compared.high && of.next_offset == since.0);
            match waits {
                Some(_) if now.saturating_duration_since(since.1) < UNREAD_MAX => continue,
                Some(_) => found = found.or(Some(index)),
                None => {}
            }
            *since = (of.map_or(-1, |of| of.next_offset), now);
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
}
