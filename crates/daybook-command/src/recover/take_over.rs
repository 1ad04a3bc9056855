//! Events of the old journal that the log does not have, taken into the new one behind the log's end; and what is
//! said of all that was not.

use std::path::Path;

use daybook_journal::Event;

use crate::aggregate::Aggregate;
use crate::reconcile::Tail;
use crate::recover::RecoverError;
use crate::recover::old_outbox::{Fault, LeftBehind, Leftover, OldOutbox, Opened};
use crate::recover::rebuild::Rebuild;
use crate::store::Filling;

/// Takes over what fits; what of each partition then was taken over, and what was left behind.
pub(super) fn take_over<A: Aggregate>(
    old: &Opened,
    rebuild: &mut Rebuild,
    into: &mut Filling,
    ends: &[Option<Tail>],
) -> Result<Vec<Leftover>, RecoverError> {
    let mut leftovers = old.leftovers(ends);
    for (partition, leftover) in (0..).zip(&mut leftovers) {
        let Leftover { fitting, left_behind, .. } = leftover;
        let mut at = fitting.start;
        while at < fitting.end {
            let (taken, fault) = match old.events_from(partition, at, fitting.end) {
                Ok(events) => take_some::<A>(rebuild, into, &events)?,
                Err(fault) => (0, Some(fault)),
            };
            at += taken;
            if let Some(fault) = fault {
                *left_behind = Some(LeftBehind { positions: at..fitting.end, fault });
                fitting.end = at;
            }
        }
    }
    into.write()?;
    Ok(leftovers)
}

/// Takes events as far as they fit: how many did, and why not all.
fn take_some<A: Aggregate>(
    rebuild: &mut Rebuild,
    into: &mut Filling,
    events: &[Event],
) -> Result<(u64, Option<Fault>), RecoverError> {
    let mut taken = 0;
    for event in events {
        match rebuild.append::<A>(event.partition, &event.value) {
            Ok(()) => into.add(event.bytes(), |group| group.events.push(event.clone()))?,
            Err(RecoverError::Fault(fault)) => {
                return Ok((taken, Some(Fault::Event { position: event.position, fault: *fault })));
            }
            Err(error) => return Err(error),
        }
        taken += 1;
    }
    Ok((taken, None))
}

pub(super) fn report(topic: &str, old: &OldOutbox, aside: Option<&Path>, partitions: &[Leftover]) {
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
             how many is unknown"
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
            (0..).zip(partitions).for_each(|(number, of)| report_partition(topic, &old_store, number, of));
            let taken: u64 = partitions.iter().map(|partition| count(&partition.fitting)).sum();
            let left = partitions.iter().filter_map(|partition| partition.left_behind.as_ref());
            let left: u64 = left.map(|left_behind| count(&left_behind.positions)).sum();
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

fn report_partition(topic: &str, old_store: &str, partition: i32, of: &Leftover) {
    let Leftover { fitting: taken, left_behind, behind, lost } = of;
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
    if let Some(left_behind) = left_behind {
        tracing::error!(
            topic,
            partition,
            from_position = left_behind.positions.start,
            to_position = left_behind.positions.end - 1,
            events = count(&left_behind.positions),
            old_store,
            reason = %left_behind.fault,
            "events of the old store do not fit behind the log and were not taken over; they stay in the old store"
        );
    }
}

fn count(positions: &std::ops::Range<u64>) -> u64 {
    positions.end - positions.start
}
