//! Events leave the quarantine: all of a key in order, or as far as they can once some are left out.
//!
//! Whoever calls this is the generation's only writer. Rows and what no longer waits are one batch: whatever happens, an
//! event waits or is projected, never both. Batches are as small as those of following, for the same reason.

#[cfg(test)]
mod tests;

use daybook_event::event_data::EventData;
use daybook_stream::{Refusal, ReopenError};
use serde::{Deserialize, Serialize};

use super::record::{ParkedRecord, shortened};
use super::skipped::SkippedEvent;
use crate::cache::{Table, fills_batch};
use crate::checkpoint::SourceId;
use crate::generation::{BATCH_ROWS_MAX, Generation};
use crate::keys;
use crate::projection::Projection;
use crate::source::{self, Source};
use crate::stop::StopReason;
use crate::store::StoreError;
use crate::view::EventMeta;

/// Which events left the quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Events that were projected.
    pub projected: u64,
    /// Events that were left out.
    pub left_out: u64,
    /// Events of the same keys that go on waiting, because the first of them cannot be projected.
    pub waiting: u64,
}

/// Why events did not leave the quarantine. Everything is as before, unless the store failed: then some may have left.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReleaseError {
    /// No events of this key wait.
    #[error("no events of key {key} wait in quarantine; `projector --status` lists the keys")]
    NotParked {
        /// The key.
        key: String,
    },
    /// One of them cannot be projected by this program.
    #[error("key {key} stays parked: {reason}")]
    StillFails {
        /// The key.
        key: String,
        /// Which one, and why.
        reason: StopReason,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Projects all waiting events of a key, in every partition in order, or none.
///
/// # Errors
/// [`ReleaseError`].
pub fn release<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    key: &str,
) -> Result<Released, ReleaseError> {
    let quarantine = generation.quarantine();
    let parked: Vec<_> = quarantine.sources_of(key).cloned().collect();
    if parked.is_empty() {
        return Err(ReleaseError::NotParked { key: key.to_owned() });
    }
    let mut records = Vec::new();
    for source in &parked {
        records.extend(generation.parked_of(source, key)?);
    }
    // Nothing is written before it is known that all can be.
    let mut folding = Folding::new(generation, projection);
    records.iter().try_for_each(|record| folding.fold(record)).map_err(|reason| match reason {
        StopReason::Store(error) => error.into(),
        reason => ReleaseError::StillFails { key: key.to_owned(), reason },
    })?;
    let mut leaving = Leaving::new(generation, projection);
    leaving.take(records, |_| false)?;
    Ok(leaving.finish()?)
}

/// Leaves out these events from now on: those that wait, and those that are still to come. What waits behind one that is
/// left out is projected, up to the next event that cannot be: as if it had never been there.
///
/// # Errors
/// [`StoreError`]; some may have left.
pub fn leave_out<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    skipped: Vec<SkippedEvent>,
) -> Result<Released, StoreError> {
    let quarantine = generation.quarantine();
    let mut keys: Vec<_> = skipped.iter().filter_map(|event| quarantine.parked_as(event)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut leaving = Leaving::new(generation, projection);
    for (source, key) in keys {
        let is_left_out = |record: &ParkedRecord| skipped.iter().any(|event| event.is(record));
        leaving.take(generation.parked_of(&source, &key)?, is_left_out)?;
    }
    leaving.commit(None)?;
    generation.set_skipped(skipped)?;
    leaving.finish()
}

/// Projects what waits of every key, each up to the first event that still cannot be: what an older program could not project
/// a newer one may. Whoever opens a generation to serve it does so, so that none that is served lacks what another one had.
/// Nothing is written where nothing changes.
///
/// # Errors
/// [`StoreError`]; some may have left.
pub fn release_all<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
) -> Result<Released, StoreError> {
    let mut leaving = Leaving::new(generation, projection);
    for (source, key) in generation.quarantine().waiting_keys() {
        leaving.take(generation.parked_of(source, key)?, |_| false)?;
    }
    leaving.finish()
}

/// Events on their way out, of one key after the other, in batches as small as those of following: a batch may end in the
/// middle of a key, whose other events then go on waiting until the next one.
struct Leaving<'g, E: 'static> {
    generation: &'g Generation,
    projection: Projection<E>,
    folding: Folding<'g, E>,
    /// What no longer waits with the next batch: what is in the rows, and what is left out.
    gone: Vec<Gone>,
    /// Bytes of the stored keys of these.
    gone_bytes: usize,
    released: Released,
}

struct Gone {
    record: ParkedRecord,
    is_left_out: bool,
}

impl<'g, E: EventData> Leaving<'g, E> {
    fn new(generation: &'g Generation, projection: Projection<E>) -> Self {
        let (folding, released) = (Folding::new(generation, projection), Released::default());
        Self { generation, projection, folding, gone: Vec::new(), gone_bytes: 0, released }
    }

    /// Takes some of the waiting events of a key out, and projects the others as far as they can be.
    fn take(
        &mut self,
        records: Vec<ParkedRecord>,
        is_left_out: impl Fn(&ParkedRecord) -> bool,
    ) -> Result<(), StoreError> {
        let mut is_stuck = false;
        for record in records {
            if is_left_out(&record) {
                self.released.left_out += 1;
                self.goes(Gone { record, is_left_out: true })?;
                continue;
            }
            if !is_stuck && let Some(reason) = self.fold(&record)? {
                self.stays(record.clone(), &reason)?;
                is_stuck = true;
            }
            if is_stuck {
                self.released.waiting += 1;
            } else {
                self.released.projected += 1;
                self.goes(Gone { record, is_left_out: false })?;
            }
        }
        Ok(())
    }

    /// Folds one more, or says why it cannot be; then everything before it is as it was.
    fn fold(&mut self, record: &ParkedRecord) -> Result<Option<StopReason>, StoreError> {
        let reason = match self.folding.fold(record) {
            Ok(()) => return Ok(None),
            Err(StopReason::Store(error)) => return Err(error),
            Err(reason) => reason,
        };
        // The tables may hold half of it.
        self.folding = Folding::new(self.generation, self.projection);
        for Gone { record, .. } in self.gone.iter().filter(|gone| !gone.is_left_out) {
            self.folding.fold(record).map_err(|again| match again {
                StopReason::Store(error) => error,
                again => StoreError::new("project again into", self.generation.path(), again),
            })?;
        }
        Ok(Some(reason))
    }

    fn goes(&mut self, gone: Gone) -> Result<(), StoreError> {
        self.gone_bytes += keys::parked(&gone.record.source, &gone.record.key, gone.record.position).len();
        self.gone.push(gone);
        match fills_batch(&self.folding.tables, BATCH_ROWS_MAX, self.gone.len(), self.gone_bytes) {
            true => self.commit(None),
            false => Ok(()),
        }
    }

    /// The first of its key that goes on waiting, and for which reason. What is before it is written: the next one that stays
    /// need not fold it again.
    fn stays(&mut self, mut first: ParkedRecord, reason: &StopReason) -> Result<(), StoreError> {
        let reason = Some(shortened(&reason.cause()));
        let is_new = first.reason != reason;
        first.reason = reason;
        self.commit(is_new.then_some(first))
    }

    /// Writes the rows, with what no longer waits and the event that is now the first to wait.
    fn commit(&mut self, first: Option<ParkedRecord>) -> Result<(), StoreError> {
        if self.gone.is_empty() && first.is_none() {
            return Ok(());
        }
        let folding = std::mem::replace(&mut self.folding, Folding::new(self.generation, self.projection));
        let gone: Vec<_> = self.gone.drain(..).map(|gone| gone.record).collect();
        self.gone_bytes = 0;
        folding.commit(&gone, first)
    }

    /// Writes what is left. Somebody is about to be told that it is done.
    fn finish(mut self) -> Result<Released, StoreError> {
        self.commit(None)?;
        if self.released.projected + self.released.left_out > 0 {
            self.generation.sync()?;
        }
        Ok(self.released)
    }
}

/// Folds waiting events into rows that are not yet written.
struct Folding<'g, E: 'static> {
    generation: &'g Generation,
    sources: Vec<Source>,
    tables: Vec<Box<dyn Table<E>>>,
}

impl<'g, E: EventData> Folding<'g, E> {
    fn new(generation: &'g Generation, projection: Projection<E>) -> Self {
        let sources = source::sources(&projection, &generation.checkpoint());
        Self { generation, sources, tables: projection.tables() }
    }

    fn fold(&mut self, record: &ParkedRecord) -> Result<(), StopReason> {
        let ParkedRecord { position, ref value, ref headers, .. } = *record;
        let at = |id| Box::new(record.at(id));
        let source = self.sources.iter().find(|source| source.id == record.source);
        let source = source.ok_or_else(|| StopReason::UnknownTopic { at: at(record.event_id()) })?;
        let reopened = source.state.reopen::<E>(value.as_deref(), || headers.clone(), position);
        let opened = reopened.map_err(|error| match error {
            ReopenError::Unreadable(error) => StopReason::unreadable(at(record.event_id()), error),
            ReopenError::Foreign(why) => StopReason::unowned(at(record.event_id()), why),
            ReopenError::Elsewhere(Refusal { id, error }) => StopReason::Sequence { at: at(Some(id)), error },
        })?;
        let meta = EventMeta {
            topic: &record.source.topic,
            partition: record.source.partition,
            position,
            time_us: opened.time.as_microsecond(),
        };
        for table in &mut self.tables {
            let folded = table.fold(self.generation, &opened.event, &meta);
            folded.map_err(|error| StopReason::fold(at(Some(opened.id)), error))?;
        }
        Ok(())
    }

    fn commit(mut self, gone: &[ParkedRecord], first: Option<ParkedRecord>) -> Result<(), StoreError> {
        let mut commit = self.generation.begin();
        for table in &mut self.tables {
            table.write(&mut commit)?;
        }
        commit.unpark(gone);
        if let Some(first) = first.clone() {
            commit.park_again(first)?;
        }
        commit.finish([])?;
        self.generation.remove_pieces(gone.iter().chain(&first))
    }
}

impl SkippedEvent {
    fn is(&self, record: &ParkedRecord) -> bool {
        let source = SourceId { topic: self.topic.as_str().into(), partition: self.partition };
        (&source, self.position, self.id) == (&record.source, record.position, record.id)
    }
}
