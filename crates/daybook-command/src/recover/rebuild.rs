//! The store while it is being rebuilt: events in, rows out.

use std::sync::Arc;

use daybook_event::envelope::{self, Envelope};
use daybook_event::event_data::{EventData as _, EventError};
use daybook_event::sequence::Reached;
use daybook_kafka::Record;
use daybook_store::Store;
use daybook_stream::{Admission, Disposition, PartitionState, ReopenError};
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::incoming::{self, IncomingFault};
use crate::reconcile::Tail;
use crate::recover::RecoverError;
use crate::recover::gathered;
use crate::recover::gathered::Gathered;
use crate::store::rows::{Counter, Versioned};
use crate::store::{index, keys};

pub(super) struct Rebuild {
    store: Arc<Store>,
    rows: Gathered,
    partitions: Vec<PartitionState>,
    pub(super) done: u64,
}

impl Rebuild {
    pub(super) fn new<A: Aggregate>(store: &Arc<Store>, partitions: i32) -> Self {
        let topic = Arc::from(A::TOPIC);
        let state =
            |partition| PartitionState::resume(Arc::clone(&topic), partition, A::SERVICE, Reached::default());
        let partitions = (0..partitions).map(state).collect();
        let (store, rows) = (Arc::clone(store), Gathered::new(Arc::clone(store)));
        Self { store, rows, partitions, done: 0 }
    }

    /// Takes a record of the log; what it was, if it is to be applied.
    pub(super) fn take<A: Aggregate>(&mut self, record: &Record<'_>) -> Result<Option<Tail>, RecoverError> {
        let index = record.partition() as usize;
        let view = incoming::view(record);
        let admission = self.partitions[index].admit_envelope(&view, || record.headers());
        let Admission { disposition, passing } = admission.map_err(IncomingFault::from)?;
        if let Some(placed) = passing.placed().first() {
            return Err(IncomingFault::garbled(placed).into());
        }
        let mut taken = None;
        if let Disposition::Event(envelope) = &disposition {
            self.apply::<A>(envelope)?;
            self.done += 1;
            taken = Some(Tail { position: envelope.position, id: envelope.id });
        }
        self.partitions[index].advance(passing);
        Ok(taken)
    }

    /// Takes an event that the log does not have yet, behind all that were taken of its partition.
    pub(super) fn append<A: Aggregate>(&mut self, partition: i32, event: &[u8]) -> Result<(), RecoverError> {
        let envelope = envelope::open(Some(event), Vec::new).map_err(IncomingFault::from)?;
        let index = partition as usize;
        let admitted = self.partitions[index].admit_unsent(&envelope);
        let passing = admitted.map_err(|error| match error {
            ReopenError::Foreign(why) => IncomingFault::Unowned(why),
            ReopenError::Elsewhere(refusal) => refusal.into(),
            ReopenError::Unreadable(error) => match error {
                EventError::Envelope(error) => error.into(),
                EventError::Data(source) => IncomingFault::Data { id: envelope.id, why: source.to_string() },
            },
        })?;
        self.apply::<A>(&envelope)?;
        self.partitions[index].advance(passing);
        Ok(())
    }

    fn apply<A: Aggregate>(&mut self, envelope: &Envelope<'_>) -> Result<(), RecoverError> {
        let id = envelope.id;
        let event = A::Event::from_data(&envelope.event_type, &envelope.data)
            .map_err(|error| IncomingFault::Data { id, why: error.to_string() })?;
        self.evolve::<A>(envelope, &event)
    }

    fn evolve<A: Aggregate>(
        &mut self,
        envelope: &Envelope<'_>,
        event: &A::Event,
    ) -> Result<(), RecoverError> {
        let (id, subject, version) = (envelope.id, envelope.subject, envelope.aggregate_version);
        let row = self.rows.get(&keys::aggregate(subject))?;
        let before = row.map(|row| Versioned::<A::State>::decode(&row)).transpose()?;
        let expected = before.as_ref().map_or(0, |before| before.version) + 1;
        if version != expected {
            return Err(IncomingFault::Version { id, subject, found: version, expected }.into());
        }
        let state = A::evolve(before.map(|before| before.state), event);
        Ok(self.rows.put(keys::aggregate(subject), Versioned { version, state }.encode()?)?)
    }

    pub(super) fn tails(&self) -> Vec<Option<Tail>> {
        let tail = |of: &PartitionState| {
            let position = of.next_position().checked_sub(1)?;
            Some(Tail { position, id: of.sequence().last_id()? })
        };
        self.partitions.iter().map(tail).collect()
    }

    /// What the log says which one it is.
    pub(super) fn log_id(&self) -> Option<Uuid> {
        self.partitions.iter().find_map(|of| of.sequence().log_id())
    }

    /// They follow from the final states only. They cannot be built while reading: a key that passed from one aggregate to
    /// another of another partition would depend on how the partitions come in.
    pub(super) fn build_unique_keys<A: Aggregate>(&mut self) -> Result<(), RecoverError> {
        self.rows.write()?;
        gathered::build::<A>(&self.store, &mut self.rows, |_, damaged| Err(damaged.into()))?;
        Ok(())
    }

    /// Notes where each partition stands, and that all up to this record of the journal is there; then makes it durable.
    pub(super) fn finish<A: Aggregate>(&mut self, number: u64, journal: Uuid) -> Result<(), RecoverError> {
        for (partition, sequence) in (0..).zip(self.partitions.iter().map(PartitionState::sequence)) {
            let counter = Counter { next: sequence.next_position(), last_id: sequence.last_id() };
            if counter.next > 0 {
                self.rows.put(keys::counter(partition), counter.encode())?;
            }
        }
        self.rows.write()?;
        self.store.fill([gathered::form_row::<A>(number), index::done_row(number, journal)])?;
        Ok(self.store.sync()?)
    }
}
