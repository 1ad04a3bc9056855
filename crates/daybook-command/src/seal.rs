//! Events into records: each gets its partition, its position and its envelope.

use std::borrow::Cow;

use daybook_event::Event as _;
use daybook_event::envelope::{self, Envelope, Source};
use daybook_event::event_data::EventData;
use daybook_journal::Event;
use daybook_service::fires;
use jiff::Timestamp;
use uuid::Uuid;

use super::aggregate::Aggregate;
use super::ambient::Ambient;
use super::command::{Cause, Undecided};
use super::outcome::Written;
use super::rows::Counter;

/// What all events of one command share.
pub(crate) struct Sealing<'a> {
    pub(crate) aggregate_id: Uuid,
    /// Version of the aggregate before the command.
    pub(crate) version: u64,
    pub(crate) time: Timestamp,
    pub(crate) cause: &'a Cause,
}

#[derive(Debug, Default)]
pub(crate) struct Sealed {
    pub(crate) events: Vec<Event>,
    /// The counters that moved.
    pub(crate) counters: Vec<(usize, Counter)>,
    pub(crate) written: Vec<Written>,
}

/// Seals the events of one command, beginning at `counters`.
pub(crate) fn seal<A: Aggregate>(
    sealing: &Sealing<'_>,
    events: &[A::Event],
    counters: &[Counter],
    ambient: &dyn Ambient,
) -> Result<Sealed, Undecided> {
    let mut sealed = Sealed::default();
    for (index, event) in events.iter().enumerate() {
        let key = event.key().to_string();
        // Partition counts are bounded far below both types' ends.
        let partition = daybook_kafka::partition_for_key(key.as_bytes(), counters.len() as i32);
        let counter = sealed.counter(partition as usize, counters);
        let at = Written { partition, position: counter.next };
        let (id, version) = (ambient.new_id(), sealing.version + 1 + index as u64);
        let value = record::<A>(sealing, event, &at, id, version).map_err(|_| Undecided::Fault)?;
        let traceparent = sealing.cause.traceparent.clone().unwrap_or_default();
        let Written { partition, position } = at;
        sealed.push(at, Event { partition, position, id, key, traceparent, value });
    }
    Ok(sealed)
}

impl Sealed {
    fn counter(&self, partition: usize, before: &[Counter]) -> Counter {
        let moved = self.counters.iter().rev().find(|(moved, _)| *moved == partition);
        moved.map_or(before[partition], |(_, counter)| *counter)
    }

    fn push(&mut self, at: Written, event: Event) {
        let partition = at.partition as usize;
        self.counters.push((partition, Counter { next: at.position + 1, last_id: Some(event.id) }));
        self.events.push(event);
        self.written.push(at);
    }
}

fn record<A: Aggregate>(
    sealing: &Sealing<'_>,
    event: &A::Event,
    at: &Written,
    id: Uuid,
    version: u64,
) -> serde_json::Result<Vec<u8>> {
    envelope::seal(&Envelope {
        writer_epoch: 0,
        previous_id: None,
        id,
        source: Source { service: Cow::Borrowed(A::SERVICE), partition: at.partition },
        event_type: Cow::Borrowed(event.event_type()),
        subject: sealing.aggregate_id,
        time: sealing.time,
        position: at.position,
        aggregate_version: version,
        correlation_id: if fires("other-cause") { id } else { sealing.cause.correlation_id },
        causation_id: sealing.cause.command_id,
        traceparent: sealing.cause.traceparent.as_deref().map(Cow::Borrowed),
        data: Cow::Owned(event.to_data()?),
    })
}
