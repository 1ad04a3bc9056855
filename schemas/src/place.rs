//! The place in a partition where a reader goes on, found by position. Pure: the caller looks at records.
//!
//! A checkpoint names an offset and a position. The offset is right as long as the log is what it was, which the event
//! before it shows: it is the one that was applied last. A log that lost its end and got it again has every event at its
//! position, but perhaps at another offset, and other writers may have been in force in it. So it is read from its
//! beginning, and the check of positions ([`crate::sequence`]) skips what was applied. Before that, it must be there
//! again: a look at its last event tells whether its end is still missing.

use uuid::Uuid;

use crate::envelope;
use crate::sequence::Reached;

/// What a reader has applied of a partition, and what the log holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// What was applied.
    pub reached: Reached,
    /// First offset that the log holds.
    pub low: i64,
    /// The log's end offset.
    pub high: i64,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Read from this offset on.
    At(i64),
    /// The log ends before what was applied: its end is lost, or it was made anew. Look again later.
    Lost,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look at the record at this offset, and tell [`Search::saw`].
    Look(i64),
    /// The search is over.
    Found(Place),
}

/// Finds the place of every partition. `records` is asked for records by index in `compared` and offset, several at once,
/// and gives position and id of each (see [`event`]).
///
/// # Errors
/// What `records` fails with.
pub fn places<E>(
    compared: impl IntoIterator<Item = Compared>,
    mut records: impl FnMut(&[(usize, i64)]) -> Result<Vec<Option<(u64, Uuid)>>, E>,
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

/// Position and id of a record; `None` if it is no event.
pub fn event(value: Option<&[u8]>, headers: impl FnOnce() -> Vec<(String, Vec<u8>)>) -> Option<(u64, Uuid)> {
    envelope::open(value, headers).ok().map(|opened| (opened.position, opened.id))
}

/// The search for one partition's place.
#[derive(Debug, Clone)]
pub struct Search {
    compared: Compared,
    step: Step,
    back: i64,
}

impl Search {
    /// Begins with the record before the checkpoint's offset, or the last one if the log ends earlier.
    #[must_use]
    pub fn begin(compared: Compared) -> Self {
        let Compared { reached, low, high } = compared;
        let Reached { offset: next_offset, next_position, .. } = reached;
        let last = next_offset.min(high) - 1;
        let step = match () {
            // Nothing applied: any record is the first to come, and an end that moves is no loss to this reader.
            () if next_position == 0 => Step::Found(Place::At(next_offset.clamp(low, high))),
            () if last >= low => Step::Look(last),
            () if high < next_offset => Step::Found(Place::Lost),
            // What was applied is no longer there, what comes next is.
            () => Step::Found(Place::At(next_offset)),
        };
        Self { compared, step, back: 1 }
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Position and id of the record that was looked at; `None` if there is no event of ours. Further back it is looked
    /// twice as far each time.
    pub fn saw(&mut self, record: Option<(u64, Uuid)>) {
        let Step::Look(at) = self.step else { return };
        let Compared { reached, low, high } = self.compared;
        let Reached { offset: next_offset, next_position, last_id, .. } = reached;
        let unchanged = at + 1 == next_offset;
        self.step = match record {
            Some((position, id)) if position.checked_add(1) == Some(next_position) => {
                // Another event at this position is read again, so that the check of positions tells the fork.
                let same = unchanged && last_id == Some(id);
                Step::Found(Place::At(if same { next_offset } else { low }))
            }
            Some((position, _)) if position < next_position => {
                let lost = high < next_offset && at + 1 == high;
                Step::Found(if lost { Place::Lost } else { Place::At(low) })
            }
            _ if at == low => Step::Found(Place::At(low)),
            _ => Step::Look(low.max(at - self.back)),
        };
        self.back = self.back.saturating_mul(2);
    }
}
