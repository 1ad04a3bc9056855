//! The commands of one commit: each is decided on the store as the ones before it leave it.
//!
//! Nothing is written here. A batch is an overlay over the store; the committer writes it as one record of the journal.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

pub(crate) use crate::commit::change::{Admitted, Change, DecideError};
use crate::store::rows::RowError;
use daybook_event::Event as _;
use daybook_event::event_data::EventData as _;
use daybook_journal::{Event, KeyOutcome, Reader, Write};
use daybook_kafka::partition_for_key;
use daybook_service::fires;
use daybook_store::{Store, StoreError, Writes};
use uuid::Uuid;

use crate::aggregate::{Aggregate, UniqueKeys};
use crate::command::{
    Accepted, CommandError, Outcome, Request, Written, nothing_matches, precondition_failed,
};
use crate::commit::idempotency::{Fingerprint, IdempotencyKey, Remembered};
use crate::commit::seal::{Ambient, Sealing, seal};
use crate::follow::positions::FollowedPositions;
use crate::references::{ReadSet, References};
use crate::store::keys;
use crate::store::rows::{Counter, Owners, Versioned};

/// The store, and over it what this batch is going to write.
pub(crate) struct CommitBatch<'s> {
    store: &'s Store,
    journal: &'s Reader,
    now_ms: u64,
    ahead_ms: u64,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    counters: Vec<Counter>,
    events: Vec<Event>,
    /// What is remembered from now on, by the hashes of the keys.
    keys: HashMap<[u8; 16], Vec<u8>>,
    bytes: usize,
}

pub(crate) struct Finished {
    /// Rows that were followed: the log has what they say.
    pub(crate) followed: Writes,
    /// What its commands have decided, for the journal.
    pub(crate) decided: daybook_journal::Group,
    /// Where the partitions stand afterwards.
    pub(crate) counters: Vec<Counter>,
}

impl<'s> CommitBatch<'s> {
    pub(crate) fn new(store: &'s Store, journal: &'s Reader, counters: &[Counter], now_ms: u64) -> Self {
        Self {
            store,
            journal,
            now_ms,
            ahead_ms: 0,
            writes: BTreeMap::new(),
            counters: counters.to_vec(),
            events: Vec::new(),
            keys: HashMap::new(),
            bytes: 0,
        }
    }

    /// The same, where the clock was set forward by so much: no key is older by that.
    pub(crate) fn with_clock_ahead(self, ahead_ms: u64) -> Self {
        Self { ahead_ms, ..self }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        match self.writes.get(key) {
            Some(pending) => Ok(pending.as_deref().map(Cow::Borrowed)),
            None => Ok(self.store.get(key)?.map(|row| Cow::Owned(row.to_vec()))),
        }
    }

    pub(crate) fn remembered(&self, key: &IdempotencyKey) -> Result<Option<Remembered>, RowError> {
        let remembered = self.remembered_as(&key.hash)?;
        if remembered.is_some() || key.before.hash == key.hash {
            return Ok(remembered);
        }
        // A key in quotes was remembered with them before; now another key may be spelled as this one was.
        let before = self.remembered_as(&key.before.hash)?;
        Ok(before.filter(|remembered| matches!(remembered.fingerprint, Fingerprint::OfBytes(_))))
    }

    fn remembered_as(&self, hash: &[u8; 16]) -> Result<Option<Remembered>, RowError> {
        let remembered = match self.keys.get(hash) {
            Some(pending) => Remembered::decode(pending)?,
            None => match self.journal.outcome(hash)? {
                Some((_, KeyOutcome { outcome, .. })) => Remembered::decode(&outcome)?,
                None => return Ok(None),
            },
        };
        Ok(Some(remembered)
            .filter(|remembered| remembered.expires_ms.saturating_add(self.ahead_ms) > self.now_ms))
    }

    /// Decides a command on what the store and the batch's earlier commands say. Changes nothing.
    pub(crate) fn decide<A: Aggregate>(
        &self,
        request: &Request<A>,
        followed: &FollowedPositions,
        ambient: &dyn Ambient,
    ) -> Result<Change, DecideError> {
        let id = request.aggregate_id;
        let row = if request.is_fresh { None } else { self.get(&keys::aggregate(id))? };
        let before = row.map(|value| Versioned::<A::State>::decode(&value)).transpose()?;
        let version = before.as_ref().map_or(0, |before| before.version);
        let state = before.as_ref().map(|before| &before.state);
        // Of what never was, or is gone, the rejection says so: no condition is looked at then (RFC 9110, 13.2.1).
        let is_there = state.is_some() && A::shown(state).is_ok();
        if is_there && !request.condition.holds(version) {
            return Ok(Change::rejected(precondition_failed(version)));
        }
        let mut read_set = ReadSet::default();
        let mut look_up = |table, id| read_set.look_up(self, followed, table, id);
        let facts = A::facts(state, &request.command, &mut References::new(&mut look_up));
        let facts = facts.map_err(|error| error.0)?;
        match A::decide(state, &request.command, &facts) {
            // It would make one, and If-Match wants one that is there.
            Ok(_) if !is_there && request.condition.is_one_of.is_some() => {
                Ok(Change::rejected(nothing_matches()))
            }
            Ok(events) => self.change(request, before, &events, read_set, ambient),
            Err(rejection) => {
                let is_provisional = read_set.has_unknown;
                Ok(Change { is_provisional, ..Change::rejected(rejection.into()) })
            }
        }
    }

    fn change<A: Aggregate>(
        &self,
        request: &Request<A>,
        before: Option<Versioned<A::State>>,
        events: &[A::Event],
        read_set: ReadSet,
        ambient: &dyn Ambient,
    ) -> Result<Change, DecideError> {
        let id = request.aggregate_id;
        let mut version = before.as_ref().map_or(0, |before| before.version);
        if version > 0 && fires("same-version") {
            version -= 1;
        }
        let old_keys = before.as_ref().map(|before| UniqueKeys::<A>::of(&before.state)).unwrap_or_default();
        let sealing = Sealing { aggregate_id: id, version, time: ambient.now(), cause: &request.cause };
        let mut sealed = seal::<A>(&sealing, events, &self.counters, ambient)?;
        let created = before.is_none().then_some(id);
        let state = events.iter().fold(before.map(|before| before.state), |state, event| {
            version += 1;
            Some(A::evolve(state, event))
        });
        // Without a state and without events there is nothing an answer could show.
        let state = state.ok_or(DecideError::Command(CommandError::Fault))?;
        let (mut writes, new_keys) = (Writes::new(), UniqueKeys::<A>::of(&state));
        let takes_key = new_keys.iter().any(|key| !old_keys.contains(key));
        if let Some(taken) = self.claim(id, &old_keys, &new_keys, &mut writes)? {
            // Without unique keys none is taken.
            let problem = UniqueKeys::<A>::taken(&taken).ok_or(DecideError::Command(CommandError::Fault))?;
            return Ok(Change { takes_key, ..Change::rejected(problem) });
        }
        let shown = A::shown(Some(&state)).ok().map(|shown| serde_json::to_vec(&shown)).transpose();
        let key = A::state_key(&state, id);
        check_keys::<A>(events, key)?;
        let stands_at = events.is_empty().then(|| self.last_of(key)).flatten();
        let accepted = Accepted {
            version,
            created,
            state: shown.map_err(|_| CommandError::Fault)?,
            written: std::mem::take(&mut sealed.written),
            stands_at,
            depends_on: read_set.events,
        };
        if !events.is_empty() {
            let row = Versioned { version, state }.encode().map_err(|_| CommandError::Fault)?;
            writes.push((keys::aggregate(id), Some(row)));
        }
        let outcome = Outcome::Accepted(accepted);
        let change = Change { outcome, is_provisional: false, takes_key, writes, sealed };
        change.check_sizes()?;
        Ok(change)
    }

    /// The last position so far of the partition of a record key.
    fn last_of(&self, key: Uuid) -> Option<Written> {
        // Partition counts are bounded far below both types' ends.
        let partition = partition_for_key(key.to_string().as_bytes(), self.counters.len() as i32);
        let position = self.counters.get(partition as usize)?.next.checked_sub(1)?;
        Some(Written { partition, position })
    }

    /// Takes and gives up unique keys; the key that another aggregate has, if any.
    fn claim(
        &self,
        id: Uuid,
        old: &[String],
        new: &[String],
        writes: &mut Writes,
    ) -> Result<Option<String>, RowError> {
        for key in new.iter().filter(|key| !old.contains(key)) {
            let mut owners = self.owners(key)?;
            if owners.is_of_others(id) && !fires("twin-key") {
                return Ok(Some(key.clone()));
            }
            owners.add(id);
            writes.push((keys::unique(key), owners.encode()));
        }
        for key in old.iter().filter(|key| !new.contains(key)) {
            let mut owners = self.owners(key)?;
            owners.remove(id);
            writes.push((keys::unique(key), owners.encode()));
        }
        Ok(None)
    }

    fn owners(&self, key: &str) -> Result<Owners, RowError> {
        let row = self.get(&keys::unique(key))?;
        Ok(row.map(|row| Owners::decode(&row)).transpose()?.unwrap_or_default())
    }

    /// Takes a decided command into the batch; later ones of the batch see it. Returns the outcome.
    pub(crate) fn accept(&mut self, change: Admitted) -> Outcome {
        let change = change.into_change();
        self.bytes += change.bytes();
        self.writes.extend(change.writes);
        self.events.extend(change.sealed.events);
        for (partition, counter) in change.sealed.counters {
            self.counters[partition] = counter;
        }
        change.outcome
    }

    pub(crate) fn remember(&mut self, key: &IdempotencyKey, outcome: &Outcome, age_max_ms: u64) {
        let expires_ms = self.now_ms.saturating_add(age_max_ms);
        let remembered = Remembered::encode(Fingerprint::OfValue(key.fingerprint), expires_ms, outcome);
        self.bytes += key.hash.len() + remembered.len();
        self.keys.insert(key.hash, remembered);
    }

    /// Idempotency keys that are remembered, with those of this batch.
    pub(crate) fn keys(&self) -> u64 {
        (self.journal.keys() + self.keys.len()) as u64
    }

    /// Whether keys of this batch are the last for which there is room, so that others have to go before more come.
    pub(crate) fn takes_last_key(&self, keys_max: u64) -> bool {
        !self.keys.is_empty() && self.keys() >= keys_max
    }

    /// Bytes that its commands write, or somewhat fewer: what is written once for all of them is not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn write(&mut self, writes: Writes) {
        self.writes.extend(writes);
    }

    pub(crate) fn finish(mut self, before: &[Counter]) -> Finished {
        for (partition, (counter, before)) in (0..).zip(self.counters.iter().zip(before)) {
            if counter != before {
                self.writes.insert(keys::counter(partition), Some(counter.encode()));
            }
        }
        let (followed, decided) = self.writes.into_iter().partition(|(key, _)| keys::is_followed(key));
        let decided: Writes = decided;
        let decided = daybook_journal::Group {
            events: self.events,
            writes: decided.into_iter().map(|(key, value)| Write { key, value }).collect(),
            keys: self.keys.into_iter().map(|(hash, outcome)| KeyOutcome { hash, outcome }).collect(),
        };
        Finished { followed, decided, counters: self.counters }
    }
}

/// Refuses events whose record key is not that of their aggregate's state: a read would name another partition than theirs.
fn check_keys<A: Aggregate>(events: &[A::Event], key: Uuid) -> Result<(), CommandError> {
    let Some(event) = events.iter().find(|event| event.key() != key) else { return Ok(()) };
    let (of, found) = (event.event_type(), event.key());
    tracing::error!("the record key of {of} is {found}, and `state_key` of what it leaves says {key}");
    Err(CommandError::Fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::toy::{ToyCommand, Toys};

    #[test]
    fn events_of_another_partition_than_their_aggregates_are_refused() {
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let made = Toys::decide(None, &ToyCommand::Make(id, "bear".to_owned()), &()).unwrap();
        assert_eq!(check_keys::<Toys>(&made, id), Ok(()));
        assert_eq!(check_keys::<Toys>(&made, other), Err(CommandError::Fault));
        assert_eq!(check_keys::<Toys>(&[], other), Ok(()));
    }
}
