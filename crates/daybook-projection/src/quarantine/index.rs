//! What waits in a generation, in memory: the places of all parked events, and a summary of every key.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::ParkedRecord;
use super::skipped::{SkippedEvent, unnamed};
use crate::checkpoint::{Checkpoint, SourceId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedKey {
    /// The records' key.
    pub key: String,
    /// Topic without prefix.
    pub topic: String,
    pub partition: i32,
    /// Number of the one view whose row of this key waits, because an event contradicts it; none if whole events wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<u8>,
    pub since_position: u64,
    /// Id of that event; none if its envelope cannot be read, or it waits for one view.
    pub event_id: Option<Uuid>,
    pub waiting: u64,
    /// Why the first one could not be projected.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParkedEvent {
    pub(crate) key: String,
    pub(crate) id: Uuid,
    pub(crate) has_event_id: bool,
    /// View and row of one that waits for a view.
    pub(crate) row: Option<(u8, Uuid)>,
    pub(crate) bytes: u64,
    reason: Option<String>,
}

/// Partition, position, and the one view for which it waits; 0 for all.
type EventPosition = (SourceId, u64, u8);
/// The same of a key.
pub(super) type KeyInPartition = (SourceId, String, u8);

/// All that waits in one generation, as of its last commit.
#[derive(Debug, Clone, Default)]
pub struct Quarantine {
    events: BTreeMap<EventPosition, ParkedEvent>,
    keys: BTreeMap<KeyInPartition, ParkedKey>,
    skipped: Arc<[SkippedEvent]>,
    releases: u64,
}

impl Quarantine {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All keys with events that wait, by topic, partition and key.
    pub fn keys(&self) -> impl Iterator<Item = &ParkedKey> {
        self.keys.values()
    }

    /// The parked keys of a topic, in the order of partitions and keys; a key may come twice.
    pub fn keys_of<'q>(&'q self, topic: &'q str) -> impl Iterator<Item = &'q str> {
        self.keys().filter(move |parked| parked.topic == topic).map(|parked| parked.key.as_str())
    }

    pub fn skipped(&self) -> &[SkippedEvent] {
        &self.skipped
    }

    pub fn events(&self) -> u64 {
        self.keys().map(|parked| parked.waiting).sum()
    }

    /// The key for which the event of this position waits.
    pub fn waiting_at(&self, topic: &str, partition: i32, position: u64) -> Option<&str> {
        if self.events.is_empty() {
            return None;
        }
        let source = SourceId { topic: topic.into(), partition };
        self.at(&source, position).next().map(|(_, event)| event.key.as_str())
    }

    /// What waits at a position: the whole event, or for each of some views.
    pub(super) fn at(&self, source: &SourceId, position: u64) -> impl Iterator<Item = (u8, &ParkedEvent)> {
        let places = (source.clone(), position, 0)..=(source.clone(), position, u8::MAX);
        self.events.range(places).map(|((_, _, view), event)| (*view, event))
    }

    /// Position of the last event of a partition that was projected, of those before `next_position`.
    pub fn last_projected(&self, source: &SourceId, next_position: u64) -> Option<u64> {
        let mut last = next_position.checked_sub(1)?;
        let waiting = self.events.range((source.clone(), 0, 0)..(source.clone(), next_position, 0)).rev();
        for ((_, position, _), _) in waiting {
            match position.cmp(&last) {
                Ordering::Less => break,
                Ordering::Equal => last = last.checked_sub(1)?,
                // It waits for a further view.
                Ordering::Greater => {}
            }
        }
        Some(last)
    }

    /// Counts what was released since the generation was opened: until then, a row changes only when the checkpoint does.
    pub fn releases(&self) -> u64 {
        self.releases
    }

    /// All events that wait, by partition and position.
    pub(crate) fn parked(&self) -> impl Iterator<Item = (&SourceId, u64, &ParkedEvent)> {
        self.events.iter().map(|((source, position, _), event)| (source, *position, event))
    }

    /// Whether a generation with this quarantine can take the place of one with `served`, which has got as far as `reached`: no
    /// event that is projected there waits here, or answers would go back in time.
    /// Errors: The key of the first event that does.
    pub fn covers(&self, served: &Self, reached: &Checkpoint) -> Result<(), String> {
        let is_projected = |place: &EventPosition| {
            let (source, position, view) = place;
            reached.position_reached(&source.topic, source.partition, *position)
                && !served.at(source, *position).any(|(waits_for, _)| waits_for == 0 || waits_for == *view)
        };
        let taken_back = self.events.iter().find(|(place, _)| is_projected(place));
        taken_back.map_or(Ok(()), |(_, event)| Err(event.key.clone()))
    }

    pub(super) fn waiting_keys(&self) -> impl Iterator<Item = &KeyInPartition> {
        self.keys.keys()
    }

    pub(super) fn waiting_of(&self, key: &KeyInPartition) -> u64 {
        self.keys.get(key).map_or(0, |parked| parked.waiting)
    }

    /// Under what an event waits that is to be left out.
    pub(super) fn parked_as(&self, event: &SkippedEvent) -> Vec<KeyInPartition> {
        let source = SourceId { topic: event.topic.as_str().into(), partition: event.partition };
        let here = self.at(&source, event.position).filter(|(view, parked)| event.is(parked.id, *view));
        here.map(|(view, parked)| (source.clone(), parked.key.clone(), view)).collect()
    }

    /// Leaves these events out, the last ones, beside those that are left out already.
    pub(crate) fn leave_out(&mut self, skipped: Vec<SkippedEvent>) {
        let before = unnamed(&self.skipped, &skipped).into_iter().cloned();
        self.skipped = before.chain(skipped.iter().cloned()).collect();
    }

    pub(crate) fn remove(&mut self, records: &[ParkedRecord]) {
        for record in records {
            self.events.remove(&(record.source.clone(), record.position, record.view()));
        }
        self.count_keys();
        self.releases += 1;
    }

    /// Notes what waits. A place is taken once: what stood there before, and is another record in a log that was healed, goes.
    pub(crate) fn add(&mut self, records: &[ParkedRecord]) {
        for record in records {
            let event = ParkedEvent {
                key: record.key.clone(),
                id: record.id,
                has_event_id: record.has_event_id,
                row: record.row(),
                bytes: record.bytes() as u64,
                reason: record.reason.clone(),
            };
            self.events.insert((record.source.clone(), record.position, record.view()), event);
        }
        self.count_keys();
    }

    /// Of each key the first event says since when and why.
    fn count_keys(&mut self) {
        self.keys.clear();
        for ((source, position, view), event) in &self.events {
            let key =
                self.keys.entry((source.clone(), event.key.clone(), *view)).or_insert_with(|| ParkedKey {
                    key: event.key.clone(),
                    topic: source.topic.to_string(),
                    partition: source.partition,
                    view: event.row.map(|(view, _)| view),
                    since_position: *position,
                    event_id: event.has_event_id.then_some(event.id),
                    waiting: 0,
                    reason: event.reason.clone().unwrap_or_default(),
                });
            key.waiting += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::ViewChange;
    use super::*;
    use crate::checkpoint::SourceCheckpoint;

    fn record(key: &str, position: u64) -> ParkedRecord {
        let source = SourceId { topic: "lamps".into(), partition: 0 };
        let (id, value, reason) =
            (Uuid::from_u128(position.into()), Some(vec![1]), Some("broken".to_owned()));
        let (offset, key) = (position as i64, key.to_owned());
        ParkedRecord {
            source,
            key,
            position,
            offset,
            id,
            has_event_id: true,
            change: None,
            value,
            headers: Vec::new(),
            reason,
        }
    }

    #[test]
    fn what_is_added_again_is_counted_once() {
        let mut quarantine = Quarantine::default();
        for _ in 0..2 {
            quarantine.add(&[record("lamp", 3)]);
            quarantine.add(&[record("lamp", 4)]);
        }
        assert_eq!((quarantine.events(), quarantine.parked().count()), (2, 2));
    }

    #[test]
    fn what_is_projected_in_one_and_waits_in_the_other_is_not_covered() {
        let reached = |next_position| {
            let at = SourceCheckpoint { next_position, ..SourceCheckpoint::default() };
            Checkpoint::from_sources([(SourceId { topic: "lamps".into(), partition: 0 }, at)])
        };
        let (mut older, mut newer) = (Quarantine::default(), Quarantine::default());
        older.add(&[record("lamp", 3)]);
        assert_eq!(older.covers(&newer, &reached(4)), Err("lamp".to_owned()));
        // Served, it is not there yet.
        assert_eq!(older.covers(&newer, &reached(3)), Ok(()));
        assert_eq!(newer.covers(&older, &reached(4)), Ok(()));
        newer.add(&[record("lamp", 3)]);
        newer.add(&[record("lamp", 4)]);
        assert_eq!(older.covers(&newer, &reached(5)), Ok(()));
        assert_eq!(newer.covers(&older, &reached(5)), Err("lamp".to_owned()));
    }

    /// The same, for one view alone.
    fn change(key: &str, position: u64, view: u8) -> ParkedRecord {
        let change = Some(ViewChange { view, row: Uuid::from_u128(7), time_us: 0 });
        ParkedRecord { change, has_event_id: false, ..record(key, position) }
    }

    #[test]
    fn what_waits_for_one_view_is_projected_into_the_others() {
        let next_position = 9;
        let at = SourceCheckpoint { next_position, ..SourceCheckpoint::default() };
        let source = SourceId { topic: "lamps".into(), partition: 0 };
        let reached = Checkpoint::from_sources([(source.clone(), at)]);
        let [mut whole, mut one, mut both] = [(); 3].map(|()| Quarantine::default());
        whole.add(&[record("lamp", 8)]);
        one.add(&[change("lamp", 8, 1)]);
        both.add(&[change("lamp", 8, 1)]);
        both.add(&[change("lamp", 8, 2)]);
        for (new, served, is_covered) in
            [(&one, &whole, true), (&whole, &one, false), (&one, &both, true), (&both, &one, false)]
        {
            assert_eq!(new.covers(served, &reached).is_ok(), is_covered);
        }
        assert_eq!((both.events(), both.waiting_at("lamps", 0, 8)), (2, Some("lamp")));
        assert_eq!(both.last_projected(&source, next_position), Some(7));
        let found = both.find(&"lamps/0@8".parse().unwrap(), "a test", "now").unwrap();
        assert_eq!((found.views.as_slice(), both.parked_as(&found).len()), (&[1, 2][..], 2));
        both.remove(&[change("lamp", 8, 1)]);
        assert_eq!(both.keys().map(|key| (key.view, key.waiting)).collect::<Vec<_>>(), [(Some(2), 1)]);
    }

    #[test]
    fn what_takes_the_place_of_another_record_leaves_nothing_of_it() {
        let mut quarantine = Quarantine::default();
        quarantine.add(&[record("lamp", 3)]);
        quarantine.add(&[record("chair", 3)]);
        let keys: Vec<_> = quarantine.keys().map(|parked| (parked.key.as_str(), parked.waiting)).collect();
        assert_eq!(keys, [("chair", 1)]);
    }
}
