//! Events into records: each gets its partition, its position and its envelope. Time and fresh ids are passed in, so that tests
//! repeat.

use std::borrow::Cow;
use std::time::SystemTime;

use daybook_event::Event as _;
use daybook_event::envelope::{self, Envelope, Source};
use daybook_event::event_data::EventData;
use daybook_journal::Event;
use daybook_service::fires;
use jiff::Timestamp;
use uuid::{NoContext, Uuid};

use crate::aggregate::Aggregate;
use crate::command::{Cause, CommandError, Written};
use crate::store::rows::Counter;

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

pub(crate) fn seal<A: Aggregate>(
    sealing: &Sealing<'_>,
    events: &[A::Event],
    counters: &[Counter],
    ambient: &dyn Ambient,
) -> Result<Sealed, CommandError> {
    let mut sealed = Sealed::default();
    for (index, event) in events.iter().enumerate() {
        let key = event.key().to_string();
        // Partition counts are bounded far below both types' ends.
        let partition = daybook_kafka::partition_for_key(key.as_bytes(), counters.len() as i32);
        let counter = sealed.counter(partition as usize, counters);
        let at = Written { partition, position: counter.next };
        let (id, version) = (ambient.new_id(), sealing.version + 1 + index as u64);
        let value = record::<A>(sealing, event, &at, id, version).map_err(|_| CommandError::Fault)?;
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

pub(crate) trait Ambient: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    /// An id that nobody has; ascending, so that new keys are written next to each other.
    fn new_id(&self) -> Uuid;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemAmbient;

impl Ambient for SystemAmbient {
    fn now(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }

    fn new_id(&self) -> Uuid {
        fresh_id(SystemTime::now())
    }
}

/// The time of day as events can tell it: a clock that was not set yet says 1970, and one beyond year 9999 says that.
fn timestamp(now: SystemTime) -> Timestamp {
    let earliest = now.max(SystemTime::UNIX_EPOCH);
    Timestamp::try_from(earliest).unwrap_or(Timestamp::MAX)
}

fn fresh_id(now: SystemTime) -> Uuid {
    if now >= SystemTime::UNIX_EPOCH {
        return Uuid::now_v7();
    }
    // What would panic there; such ids are in no order of time.
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, 0, 0))
}

pub(crate) fn now_ms(ambient: &dyn Ambient) -> u64 {
    u64::try_from(ambient.now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_no_reason_to_end() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        assert_eq!(timestamp(before), Timestamp::UNIX_EPOCH);
        assert_ne!(fresh_id(before), fresh_id(before));
        assert_eq!(fresh_id(before).get_version_num(), 7);
        let beyond = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000 * 86_400 * 365);
        assert_eq!(timestamp(beyond), Timestamp::MAX);
        fresh_id(beyond);
    }
}
