//! The store while it is being rebuilt: events in, rows out.

use std::collections::BTreeMap;

use event_log::Record;
use schemas::envelope::Envelope;
use schemas::event_data::EventData as _;
use schemas::sequence::Sequence;
use uuid::Uuid;

use crate::kernel::aggregate::Aggregate;
use crate::kernel::fields::Damaged;
use crate::kernel::incoming::{self, IncomingFault};
use crate::kernel::keys;
use crate::kernel::rows::{Counter, Versioned, decode_owner};
use crate::kernel::store::{Store, StoreError};

/// Writes applied together; sled's memory grows with the batch.
const BATCH_WRITES_MAX: usize = 1_000;
/// Aggregates whose unique keys are written together.
const SCAN_ROWS_MAX: usize = 500;

/// Why one event could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The event itself.
    #[error(transparent)]
    Fault(#[from] IncomingFault),
    /// The new store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new store cannot be read back.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A state cannot be written as JSON.
    #[error("a rebuilt state cannot be written: {0}")]
    State(#[from] serde_json::Error),
}

/// The store that is being built, and what of it is not applied yet.
pub(super) struct Rebuild<'s> {
    store: &'s Store,
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    sequences: Vec<Sequence>,
    pub(super) done: u64,
}

impl<'s> Rebuild<'s> {
    pub(super) fn new(store: &'s Store, partitions: i32) -> Self {
        let sequences = (0..partitions).map(|_| Sequence::start()).collect();
        Self { store, pending: BTreeMap::new(), sequences, done: 0 }
    }

    pub(super) fn take<A: Aggregate>(&mut self, record: &Record<'_>) -> Result<(), TakeError> {
        let sequence = &self.sequences[record.source()];
        let judged = incoming::judge(record, A::SERVICE, sequence)?;
        let Some(envelope) = &judged.event else {
            judged.pass(&mut self.sequences[record.source()], record.offset());
            return Ok(());
        };
        let id = envelope.id;
        let event = A::Event::from_data(&envelope.event_type, &envelope.data)
            .map_err(|source| IncomingFault::Data { id, source })?;
        self.evolve::<A>(envelope, &event)?;
        judged.pass(&mut self.sequences[record.source()], record.offset());
        self.done += 1;
        if self.pending.len() >= BATCH_WRITES_MAX {
            self.apply()?;
        }
        Ok(())
    }

    fn evolve<A: Aggregate>(&mut self, envelope: &Envelope<'_>, event: &A::Event) -> Result<(), TakeError> {
        let (id, subject, version) = (envelope.id, envelope.subject, envelope.aggregate_version);
        let row = self.get(&keys::aggregate(subject))?;
        let before = row.map(|row| Versioned::<A::State>::decode(&row)).transpose()?;
        let expected = before.as_ref().map_or(0, |before| before.version) + 1;
        if version != expected {
            return Err(IncomingFault::Version { id, subject, found: version, expected }.into());
        }
        let state = A::evolve(before.map(|before| before.state), event);
        self.pending.insert(keys::aggregate(subject), Some(Versioned { version, state }.encode()?));
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.pending.get(key) {
            Some(pending) => Ok(pending.clone()),
            None => Ok(self.store.get(key)?.map(|value| value.to_vec())),
        }
    }

    fn apply(&mut self) -> Result<(), StoreError> {
        let writes = std::mem::take(&mut self.pending);
        self.store.apply(writes.into_iter().collect())
    }

    /// Unique keys follow from the final states only. They cannot be built while reading: a key that passed from one
    /// aggregate to another of another partition would depend on how the partitions come in.
    pub(super) fn claim_unique_keys<A: Aggregate>(&mut self) -> Result<(), TakeError> {
        self.apply()?;
        let mut span = keys::aggregates();
        loop {
            let rows = self.store.scan(&span, SCAN_ROWS_MAX)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            span.0 = [last, &[0][..]].concat();
            for (key, row) in &rows {
                self.claim::<A>(keys::aggregate_id(key), &Versioned::decode(row)?)?;
            }
            self.apply()?;
        }
    }

    fn claim<A: Aggregate>(&mut self, id: Uuid, row: &Versioned<A::State>) -> Result<(), TakeError> {
        for unique in A::unique_keys(&row.state) {
            let key = keys::unique(&unique);
            if let Some(owner) = self.get(&key)? {
                let owner = decode_owner(&owner)?;
                tracing::error!(unique, %owner, other = %id, "two aggregates have one unique key; the first keeps it");
                continue;
            }
            self.pending.insert(key, Some(id.as_bytes().to_vec()));
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), TakeError> {
        for (partition, sequence) in (0..).zip(&self.sequences) {
            let counter = Counter { next: sequence.next_position(), last_id: sequence.last_id() };
            if counter.next > 0 {
                self.pending.insert(keys::counter(partition), Some(counter.encode()));
                self.pending.insert(keys::sent(partition), Some(counter.next.to_be_bytes().to_vec()));
            }
        }
        self.apply()?;
        Ok(self.store.sync()?)
    }
}
