//! The place in a partition where a reader resumes, found by position. Pure: the caller looks at records.
//!
//! A checkpoint names an offset and a position. The offset is right as long as the log is what it was, which the event
//! before it shows: it is the one that was applied last. A log that lost its end and got it again has every event at its
//! position, but perhaps at another offset, and other writers may have been in force in it. So it is read from its
//! beginning, and the check of positions ([`crate::sequence`]) skips what was applied. Before that, it must be there
//! again: a look at its last event, before claims of writers and whatever else is none, shows whether its end is still missing. So
//! neither a topic that was recreated nor another cluster's counts as healed before it has as many events.

use uuid::Uuid;

use crate::sequence::Reached;
use crate::{claim, envelope};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    pub reached: Reached,
    pub low: i64,
    pub high: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Read from this offset on.
    At(i64),
    /// The log ends before what was applied: its end is lost, or it was recreated. Look again later.
    Lost,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look at the record at this offset, and report it to [`Search::saw`].
    Look(i64),
    Found(Place),
}

/// Which record of which writer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub id: Uuid,
    pub epoch: u32,
}

/// Finds the place of every partition. `records` is asked for records by index in `compared` and offset, several at once,
/// and gives position and stamp of each (see [`event`]).
pub fn places<E>(
    compared: impl IntoIterator<Item = Compared>,
    mut records: impl FnMut(&[(usize, i64)]) -> Result<Vec<Option<(u64, Stamp)>>, E>,
) -> Result<Vec<Place>, E> {
    let mut searches: Vec<_> = compared.into_iter().map(Search::begin).collect();
    loop {
        let (mut looks, mut found) = (Vec::new(), Vec::new());
        for (index, search) in searches.iter().enumerate() {
            match search.step() {
                Step::Look(offset) => looks.push((index, offset)),
                Step::Found(place) => found.push(place),
            }
        }
        if looks.is_empty() {
            return Ok(found);
        }
        for ((index, _), record) in looks.iter().zip(records(&looks)?) {
            searches[*index].saw(record);
        }
    }
}

/// Position and stamp of a record; `None` if it is no event.
pub fn event(value: Option<&[u8]>, headers: impl FnOnce() -> Vec<(String, Vec<u8>)>) -> Option<(u64, Stamp)> {
    let opened = envelope::open(value, headers).ok()?;
    Some((opened.position, Stamp { id: opened.id, epoch: opened.writer_epoch }))
}

/// Stamp of a record, be it an event or a writer's claim; `None` if it is neither.
pub fn stamp(value: Option<&[u8]>, headers: impl FnOnce() -> Vec<(String, Vec<u8>)>) -> Option<Stamp> {
    let claim = || claim::open(value)?.ok().map(|claim| Stamp { id: claim.id, epoch: claim.epoch });
    event(value, headers).map(|(_, stamp)| stamp).or_else(claim)
}

/// Records that are looked at one by one behind the last event, before the search continues in leaps: claims of writers, mostly.
const LOOKS_MAX: u32 = 64;

/// The search for one partition's place.
#[derive(Debug, Clone)]
pub struct Search {
    compared: Compared,
    step: Step,
    looks_at: LooksAt,
}

/// What a search looks at.
#[derive(Debug, Clone, Copy)]
enum LooksAt {
    /// The record before the checkpoint's offset.
    Mark,
    /// The log's end, for its last event: what lies so far before a place from which on there is none.
    End { none: i64, back: i64, looks: u32 },
    /// What lies between an event that is too early and a record that is none.
    Between { early: i64, none: i64 },
}

impl Search {
    /// Begins with the record before the checkpoint's offset, or the last one if the log ends earlier.
    pub fn begin(compared: Compared) -> Self {
        let Compared { reached, low, high } = compared;
        let Reached { offset: next_offset, next_position, .. } = reached;
        let (mut search, at) =
            (Self { compared, step: Step::Found(Place::Lost), looks_at: LooksAt::Mark }, next_offset - 1);
        match () {
            // Nothing applied: any record is the first to come, and an end that moves is no loss to this reader.
            () if next_position == 0 => {
                search.step = Step::Found(Place::At(next_offset.clamp(low, high)));
            }
            () if high < next_offset => search.look_at_end(),
            () if at >= low => search.step = Step::Look(at),
            // What was applied is no longer there, what comes next is.
            () => search.step = Step::Found(Place::At(next_offset)),
        }
        search
    }

    pub fn step(&self) -> Step {
        self.step
    }

    /// Position and stamp of the record that was looked at; `None` if there is no event of ours.
    pub fn saw(&mut self, record: Option<(u64, Stamp)>) {
        let Step::Look(at) = self.step else { return };
        let Reached { offset: next_offset, next_position, last_id, epoch, .. } = self.compared.reached;
        let is_last = |position: u64| position.checked_add(1) == Some(next_position);
        match (self.looks_at, record) {
            // The epoch in force behind an event that was applied is its own.
            (LooksAt::Mark, Some((position, Stamp { id, epoch: of })))
                if is_last(position) && last_id == Some(id) && of == epoch =>
            {
                self.step = Step::Found(Place::At(next_offset));
            }
            // Another event at this position is read again, so that the check of positions finds the fork; and the same one of another
            // writer, so that it is known which one is in force.
            (LooksAt::Mark, Some((position, _))) if is_last(position) => {
                self.step = Step::Found(Place::At(self.compared.low));
            }
            // It is not the log that was read. It may have all that was applied, elsewhere.
            (LooksAt::Mark, _) => self.look_at_end(),
            // What was applied is there again, as far as its last event says.
            (_, Some((position, _))) if position >= next_position.saturating_sub(1) => {
                self.step = Step::Found(Place::At(self.compared.low));
            }
            (LooksAt::End { none, .. } | LooksAt::Between { none, .. }, Some(_)) => {
                self.look_between(at, none)
            }
            (LooksAt::End { back, looks, .. }, None) => {
                let back = if looks < LOOKS_MAX { 1 } else { back.saturating_mul(2) };
                self.look_back(at, back, looks + 1);
            }
            (LooksAt::Between { early, .. }, None) => self.look_between(early, at),
        }
    }

    fn look_at_end(&mut self) {
        self.look_back(self.compared.high, 1, 0);
    }

    fn look_back(&mut self, none: i64, back: i64, looks: u32) {
        let low = self.compared.low;
        self.looks_at = LooksAt::End { none, back, looks };
        self.step = match none {
            // A log without any event has none of those that were applied.
            none if none <= low => Step::Found(Place::Lost),
            _ => Step::Look(low.max(none.saturating_sub(back))),
        };
    }

    fn look_between(&mut self, early: i64, none: i64) {
        self.looks_at = LooksAt::Between { early, none };
        self.step = match none - early {
            ..=1 => Step::Found(Place::Lost),
            _ => Step::Look(early + (none - early) / 2),
        };
    }
}
