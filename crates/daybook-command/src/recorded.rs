//! What the journal says about the own topic's partitions: where each stands, what of it is sent, which events it has.

use daybook_event::sequence::Reached;
use daybook_journal::{Events, Mark, PartitionState, ReadError, Reader};
use uuid::Uuid;

use super::rows::Counter;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) counter: Counter,
    /// Positions that Kafka acknowledged, as far as it was noted.
    pub(crate) sent: u64,
    /// First position that the journal still has the event of; the counter's next if there is none.
    pub(crate) kept_from: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Recalled {
    events: Events,
    index: usize,
}

impl std::ops::Deref for Recalled {
    type Target = daybook_journal::Event;

    fn deref(&self) -> &Self::Target {
        &self.events[self.index]
    }
}

pub(crate) fn counters(journal: &Reader) -> Vec<Counter> {
    journal.partitions().iter().map(counter).collect()
}

fn counter(state: &PartitionState) -> Counter {
    Counter { next: state.next, last_id: state.last_id }
}

pub(crate) fn recorded(journal: &Reader) -> Vec<Recorded> {
    let of = |(partition, state): (usize, &PartitionState)| {
        let kept_from = journal.kept_from(partition).unwrap_or(state.next).min(state.next);
        Recorded { counter: counter(state), sent: state.acknowledged, kept_from }
    };
    journal.partitions().iter().enumerate().map(of).collect()
}

/// Events of one partition from the one at `from` on, up to before `to`: those that lie in one record. None if there is no
/// event at `from`.
pub(crate) fn events_from(
    journal: &Reader,
    partition: usize,
    from: u64,
    to: u64,
) -> Result<Vec<Recalled>, ReadError> {
    let Some(events) = journal.events(partition, from)? else { return Ok(Vec::new()) };
    let mut next = from;
    let mut run = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if event.partition as usize == partition && event.position == next && next < to {
            run.push(Recalled { events: Events::clone(&events), index });
            next += 1;
        }
    }
    Ok(run)
}

/// Id of the event at a position, if it is still kept.
pub(crate) fn kept_id(journal: &Reader, partition: usize, position: u64) -> Result<Option<Uuid>, ReadError> {
    let run = events_from(journal, partition, position, position + 1)?;
    Ok(run.first().map(|event| event.id))
}

/// How far the log is known to be the own one, per partition: right behind the event that was marked last.
pub(crate) fn marks(journal: &Reader) -> Vec<Reached> {
    let of = |state: &PartitionState| {
        let Mark { offset, epoch, next_position, last_id } = state.mark;
        Reached { offset, epoch, next_position, last_id, log_id: None }
    };
    journal.partitions().iter().map(of).collect()
}

/// The place in the log as the journal notes it.
pub(crate) fn mark(reached: &Reached) -> Mark {
    let Reached { offset, epoch, next_position, last_id, log_id: _ } = *reached;
    Mark { offset, epoch, next_position, last_id }
}
