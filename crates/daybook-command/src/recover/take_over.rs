//! Events of the old journal that the log does not have, taken into the new one behind the log's end; and what is
//! said of all that was not.

use std::ops::Range;
use std::path::Path;

use daybook_journal::{Event, Group, Journal, RECORD_BYTES_MAX};

use crate::aggregate::Aggregate;
use crate::reconcile::Tail;
use crate::recover::RecoverError;
use crate::recover::old_outbox::{Fault, Leftover, Misfit, OldOutbox, Opened};
use crate::recover::rebuild::{Rebuild, TakeError};

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

pub(super) fn report(topic: &str, old: &OldOutbox, aside: Option<&Path>, partitions: &[TakenOver]) {
    let old_store = aside.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    match old {
        OldOutbox::Absent => tracing::warn!(
            topic,
            "there was no old store: if there was one elsewhere, the commands that it had answered and not yet sent to Kafka are \
             not in the rebuilt one"
        ),
        OldOutbox::Unreadable(reason) => tracing::error!(
            topic,
            old_store,
            reason,
            "the old store cannot be read: commands that it had answered and not yet sent to Kafka are lost unless it is repaired; \
             how many cannot be told"
        ),
        OldOutbox::Open(opened) => {
            if let Some(segment) = opened.unreadable_end {
                tracing::error!(
                    topic,
                    old_store,
                    segment,
                    "nothing of the old journal's last segment can be read: beside what is named, commands may have been decided in it of \
                     which neither Kafka nor the old index knows, and are lost"
                );
            }
            partitions.iter().for_each(|partition| report_partition(topic, &old_store, partition));
            let taken: u64 = partitions.iter().map(|partition| count(&partition.taken)).sum();
            let left = partitions.iter().filter_map(|partition| partition.misfit.as_ref());
            let left: u64 = left.map(|misfit| count(&misfit.positions)).sum();
            tracing::info!(
                topic,
                old_store,
                taken_over = taken,
                not_taken_over = left,
                "the old store's outbox was compared with the log"
            );
        }
    }
}

fn report_partition(topic: &str, old_store: &str, of: &TakenOver) {
    let TakenOver { partition, taken, misfit, behind, lost } = of;
    if *behind > 0 {
        tracing::warn!(
            topic,
            partition,
            events = behind,
            old_store,
            "the old store ends before the log does: it is an old copy, or has lost its end; commands that it had answered last \
             and not yet sent to Kafka may be lost"
        );
    }
    if !lost.is_empty() {
        tracing::error!(
            topic,
            partition,
            from_position = lost.start,
            to_position = lost.end - 1,
            events = count(lost),
            old_store,
            "events that the old store's index knows of are neither in the log nor in the old journal: commands that had been answered are \
             lost"
        );
    }
    if !taken.is_empty() {
        tracing::warn!(
            topic,
            partition,
            from_position = taken.start,
            to_position = taken.end - 1,
            events = count(taken),
            "events of the old store that the log does not have were taken over; they are sent to Kafka now"
        );
    }
    if let Some(misfit) = misfit {
        tracing::error!(
            topic,
            partition,
            from_position = misfit.positions.start,
            to_position = misfit.positions.end - 1,
            events = count(&misfit.positions),
            old_store,
            reason = %misfit.fault,
            "events of the old store do not fit behind the log and were not taken over; they stay in the old store"
        );
    }
}

fn count(positions: &std::ops::Range<u64>) -> u64 {
    positions.end - positions.start
}
