//! Events of the old journal that the log does not have, taken into the new one behind the log's end.

use std::ops::Range;

use daybook_journal::{Event, Group, Journal, RECORD_BYTES_MAX};

use super::RecoverError;
use super::leftover::{Fault, Leftover, Misfit};
use super::old_outbox::Opened;
use super::rebuild::{Rebuild, TakeError};
use crate::aggregate::Aggregate;
use crate::log_tail::Tail;

/// What came of one partition's leftover.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TakenOver {
    pub(super) partition: i32,
    /// Now in the new journal, to be sent.
    pub(super) taken: Range<u64>,
    /// Left behind in the old one, and why.
    pub(super) misfit: Option<Misfit>,
    /// Events of the log that the old journal does not know.
    pub(super) behind: u64,
    /// In neither.
    pub(super) lost: Range<u64>,
}

/// The new journal and its index, and events on their way into them.
pub(super) struct Taken {
    pub(super) rebuild: Rebuild,
    pub(super) journal: Journal,
    pub(super) gathered: Vec<Event>,
    pub(super) bytes: usize,
    pub(super) now_ms: u64,
}

impl Taken {
    fn take<A: Aggregate>(&mut self, event: &Event) -> Result<(), RecoverError> {
        self.rebuild.append::<A>(event.partition, &event.value)?;
        if self.bytes + event.bytes() > RECORD_BYTES_MAX / 2 {
            self.write()?;
        }
        self.bytes += event.bytes();
        self.gathered.push(event.clone());
        Ok(())
    }

    fn write(&mut self) -> Result<(), RecoverError> {
        self.bytes = 0;
        let events = std::mem::take(&mut self.gathered);
        if !events.is_empty() {
            self.journal.append(Group { events, ..Group::default() }, self.now_ms)?;
        }
        Ok(())
    }

    pub(super) fn written(mut self) -> Result<(Rebuild, Journal), RecoverError> {
        self.write()?;
        Ok((self.rebuild, self.journal))
    }
}

/// Takes over what fits behind the log's ends.
pub(super) fn take_over<A: Aggregate>(
    old: &Opened,
    taken: &mut Taken,
    ends: &[Option<Tail>],
) -> Result<Vec<TakenOver>, RecoverError> {
    let leftovers = (0..).zip(old.leftovers(ends));
    leftovers.map(|(number, leftover)| take_partition::<A>(old, taken, number, leftover)).collect()
}

fn take_partition<A: Aggregate>(
    old: &Opened,
    into: &mut Taken,
    partition: i32,
    leftover: Leftover,
) -> Result<TakenOver, RecoverError> {
    let Leftover { fitting, misfit, behind, lost } = leftover;
    let mut at = fitting.start;
    while at < fitting.end {
        let (taken, fault) = match old.events_from(partition, at, fitting.end) {
            Ok(events) => take_some::<A>(into, &events)?,
            Err(fault) => (0, Some(fault)),
        };
        at += taken;
        if let Some(fault) = fault {
            let misfit = Some(Misfit { positions: at..fitting.end, fault });
            return Ok(TakenOver { partition, taken: fitting.start..at, misfit, behind, lost });
        }
    }
    Ok(TakenOver { partition, taken: fitting, misfit, behind, lost })
}

/// Takes events as far as they fit: how many did, and why not all.
fn take_some<A: Aggregate>(into: &mut Taken, events: &[Event]) -> Result<(u64, Option<Fault>), RecoverError> {
    let mut taken = 0;
    for event in events {
        match into.take::<A>(event) {
            Ok(()) => taken += 1,
            Err(RecoverError::Rebuild(error)) => match *error {
                TakeError::Fault(fault) => {
                    return Ok((taken, Some(Fault::Event { position: event.position, fault })));
                }
                error => return Err(error.into()),
            },
            Err(error) => return Err(error),
        }
    }
    Ok((taken, None))
}
