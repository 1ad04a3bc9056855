//! An event of another service that this program cannot read parks its aggregate, not the world.
//!
//! It and all later events of the aggregate wait in the store, in order, written before the checkpoint that counts them.
//! Commands that depend on the aggregate are refused meanwhile (`references.rs`), all others are decided as ever. At
//! each start what waits is tried again, so that a newer program takes what an older one could not. A record that was set
//! aside and has a position after all parks the aggregate that its key names, for good.

use std::collections::BTreeMap;

use daybook_event::envelope::Envelope;
use daybook_store::{Store, VALUE_BYTES_MAX, Writes};
use daybook_stream::{Placed, SetAsideLog};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::command::Written;
use crate::follow::positions::{ParkedShown, QuarantineShown};
use crate::incoming::IncomingFault;
use crate::references::{Followed, ReferenceUpdate, Value, reference_row};
use crate::store::fields::Damaged;
use crate::store::keys::{self, WaitingAt};
use crate::store::rows::RowError;
use crate::store::rows::{Parked, WaitingEvent};

/// Events that wait in all.
const PARKED_EVENTS_MAX: u64 = 10_000;
/// Bytes of all that waits: it is read at each start.
const PARKED_BYTES_MAX: u64 = 64 << 20;
/// Events of one aggregate that wait: they leave in one atomic write.
pub(crate) const PARKED_EVENTS_PER_KEY_MAX: u64 = 1_000;
const SHOWN_KEYS_MAX: usize = 100;

pub(crate) struct Quarantine {
    follows: &'static [Followed],
    parked: BTreeMap<(usize, Uuid), Waiting>,
    events: u64,
    bytes: u64,
    /// Whether something has been parked since it was shown.
    changed: bool,
    /// Records that were set aside and wait, by followed topic and partition.
    placed: Vec<(usize, i32, Uuid)>,
    pub(super) set_aside: SetAsideLog,
}

struct Waiting {
    first: Parked,
    events: u64,
}

impl Quarantine {
    /// Tries everything again that waits in the store. Returns what waits still, and for each aggregate what is to be
    /// written in one batch.
    pub(crate) fn try_again(
        store: &Store,
        follows: &'static [Followed],
    ) -> Result<(Self, Vec<Writes>), RowError> {
        let mut left = Self {
            follows,
            parked: BTreeMap::new(),
            events: 0,
            bytes: 0,
            changed: true,
            placed: Vec::new(),
            set_aside: SetAsideLog::default(),
        };
        let mut writes = BTreeMap::<_, Writes>::new();
        for (key, value) in store.scan(&keys::waiting_all(), usize::MAX)? {
            let at = keys::waiting_at(&key)?;
            let event = WaitingEvent::decode(&value)?;
            if event.is_set_aside() {
                left.placed.push((at.table, event.partition, event.event_id));
            }
            let waits = left.waits(at.table, at.subject);
            if !waits && let Ok(update) = left.read(&at, &event)? {
                let of_aggregate = writes.entry((at.table, at.subject)).or_default();
                let event_at = Written { partition: event.partition, position: at.position };
                let form = follows[at.table].form;
                of_aggregate.extend(reference_row((at.table, at.subject), form, update, event_at));
                of_aggregate.push((key.to_vec(), None));
                continue;
            }
            if !waits {
                // What waited before it may have been read: now this is the first.
                let reason = left.read(&at, &event)?.err().unwrap_or_default();
                let first = Parked::new(event.partition, at.position, event.event_id, &reason);
                let marker = (keys::parked(at.table, at.subject), Some(first.encode()));
                writes.entry((at.table, at.subject)).or_default().push(marker);
                left.parked.insert((at.table, at.subject), Waiting { first, events: 0 });
            }
            left.count(at.table, at.subject, key.len() + value.len());
        }
        for ((table, subject), writes) in &mut writes {
            if !left.waits(*table, *subject) {
                tracing::info!(topic = follows[*table].topic, %subject, "all events that waited are followed");
                writes.push((keys::parked(*table, *subject), None));
            }
        }
        Ok((left, writes.into_values().collect()))
    }

    fn read(
        &self,
        at: &WaitingAt,
        event: &WaitingEvent<'_>,
    ) -> Result<Result<ReferenceUpdate<Value>, String>, Damaged> {
        if event.is_set_aside() {
            return Ok(Err(event.data.to_owned()));
        }
        let damaged = Damaged { what: "waiting event" };
        let followed = self.follows.get(at.table).ok_or_else(|| damaged.clone())?;
        let data: &RawValue = serde_json::from_str(event.data).map_err(|_| damaged)?;
        Ok((followed.read)(event.event_type, data))
    }

    /// Ids of records of a partition that were set aside and wait: such a record may be repeated.
    pub(super) fn placed_in(&self, table: usize, partition: i32) -> impl Iterator<Item = Uuid> {
        let is_there = move |(of, at, _): &&(usize, i32, Uuid)| (*of, *at) == (table, partition);
        self.placed.iter().filter(is_there).map(|(.., id)| *id)
    }

    pub(crate) fn waits(&self, table: usize, subject: Uuid) -> bool {
        self.parked.contains_key(&(table, subject))
    }

    /// Parks an event that cannot be read, or that comes behind such a one. Returns what is to be written.
    pub(crate) fn park(
        &mut self,
        table: usize,
        envelope: &Envelope<'_>,
        unreadable: Option<String>,
    ) -> Result<Writes, IncomingFault> {
        let (event_id, partition) = (envelope.id, envelope.source.partition);
        let (event_type, data) = (&*envelope.event_type, envelope.data.get());
        let event = WaitingEvent { partition, event_id, event_type, data };
        let at = WaitingAt { table, subject: envelope.subject, position: envelope.position };
        self.put(&at, &event, unreadable.as_deref()).map_err(|full| match unreadable {
            Some(why) => IncomingFault::Data { id: event_id, why },
            None => full,
        })
    }

    /// Parks a record that was set aside, and has a position after all. Where its key is no id, no aggregate depends on it.
    pub(super) fn park_placed(
        &mut self,
        table: usize,
        partition: i32,
        placed: &Placed,
    ) -> Result<Writes, IncomingFault> {
        let Placed { position, id: event_id, ref key, ref why, .. } = *placed;
        let Ok(subject) = key.parse() else { return Ok(Writes::new()) };
        let reason = why.to_string();
        let event = WaitingEvent::set_aside(partition, event_id, &reason);
        let written = self.put(&WaitingAt { table, subject, position }, &event, Some(&reason))?;
        self.placed.push((table, partition, event_id));
        Ok(written)
    }

    fn put(
        &mut self,
        at: &WaitingAt,
        event: &WaitingEvent<'_>,
        unreadable: Option<&str>,
    ) -> Result<Writes, IncomingFault> {
        let WaitingAt { table, subject, position } = *at;
        let WaitingEvent { partition, event_id: id, .. } = *event;
        let (key, event) = (keys::waiting(table, subject, position), event.encode());
        if let Some(bound) = self.bound_reached(table, subject, key.len() + event.len()) {
            return Err(IncomingFault::QuarantineFull { id, subject, bound });
        }
        let mut writes = Vec::new();
        if let Some(unreadable) = unreadable.filter(|_| !self.waits(table, subject)) {
            let first = Parked::new(partition, position, id, unreadable);
            tracing::warn!(
                topic = self.follows[table].topic,
                partition,
                position,
                event_id = %id,
                %subject,
                "an event cannot be read, so all of {subject} waits: {unreadable}; start a version of this service that reads it"
            );
            writes.push((keys::parked(table, subject), Some(first.encode())));
            self.parked.insert((table, subject), Waiting { first, events: 0 });
        }
        self.count(table, subject, key.len() + event.len());
        writes.push((key, Some(event)));
        Ok(writes)
    }

    fn count(&mut self, table: usize, subject: Uuid, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
        self.changed = true;
        if let Some(waiting) = self.parked.get_mut(&(table, subject)) {
            waiting.events += 1;
        }
    }

    fn bound_reached(&self, table: usize, subject: Uuid, bytes: usize) -> Option<&'static str> {
        let of_key = self.parked.get(&(table, subject)).map_or(0, |waiting| waiting.events);
        match () {
            () if bytes > VALUE_BYTES_MAX => Some("it is larger than what may wait"),
            () if of_key >= PARKED_EVENTS_PER_KEY_MAX => Some("as many events of one aggregate wait as may"),
            () if self.events >= PARKED_EVENTS_MAX => Some("as many events wait as may"),
            () if self.bytes + bytes as u64 > PARKED_BYTES_MAX => Some("as many bytes wait as may"),
            () => None,
        }
    }

    /// What waits, for operators, if that has changed since it was shown last.
    pub(crate) fn show(&mut self) -> Option<QuarantineShown> {
        let shown = |((table, subject), waiting): (&(usize, Uuid), &Waiting)| ParkedShown {
            topic: self.follows[*table].topic,
            key: *subject,
            parked: waiting.first.clone(),
            events: waiting.events,
        };
        std::mem::take(&mut self.changed).then(|| QuarantineShown {
            keys: self.parked.len() as u64,
            events: self.events,
            first: self.parked.iter().take(SHOWN_KEYS_MAX).map(shown).collect(),
        })
    }
}
