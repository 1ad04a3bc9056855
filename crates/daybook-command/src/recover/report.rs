//! What is said about the old store: what was taken over, what was not and why, and where it stays.

use std::path::Path;

use super::old_outbox::OldOutbox;
use super::take_over::TakenOver;

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
