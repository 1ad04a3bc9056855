//! Events leave the quarantine: all of a key in order, or as far as they can once some are left out.
//!
//! Whoever calls this is the generation's only writer. Rows and what no longer waits are one batch: whatever happens, an
//! event waits or is projected, never both.

use schemas::event_data::{self, EventData};
use schemas::sequence::SequenceError;
use serde::{Deserialize, Serialize};

use super::record::{ParkedRecord, shortened};
use super::skipped::SkippedEvent;
use crate::kernel::cache::Table;
use crate::kernel::checkpoint::SourceId;
use crate::kernel::generation::Generation;
use crate::kernel::projection::Projection;
use crate::kernel::source::{self, Source};
use crate::kernel::stop::StopReason;
use crate::kernel::store::StoreError;
use crate::kernel::view::EventMeta;

/// So many records of several keys are projected in one batch: a batch holds as many rows at most.
const RECORDS_TOGETHER: usize = 256;

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
    let mut folding = Folding::new(generation, projection);
    folding.fold_all(&records).map_err(|(_, reason)| match reason {
        StopReason::Store(error) => error.into(),
        reason => ReleaseError::StillFails { key: key.to_owned(), reason },
    })?;
    folding.commit(&records, None)?;
    Ok(synced(generation, Released { projected: records.len() as u64, ..Released::default() })?)
}

/// Leaves out these events from now on: those that wait, and those that are still to come. What waits behind one that is
/// left out is projected, up to the next event that cannot be: as if it had never been there.
///
/// # Errors
/// [`StoreError`]; keys before the one at which it failed are done.
pub fn leave_out<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    skipped: Vec<SkippedEvent>,
) -> Result<Released, StoreError> {
    let quarantine = generation.quarantine();
    let mut keys: Vec<_> = skipped.iter().filter_map(|event| quarantine.parked_as(event)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut released = Released::default();
    for (source, key) in keys {
        let records = generation.parked_of(&source, &key)?;
        let is_left_out = |record: &ParkedRecord| skipped.iter().any(|event| event.is(record));
        released.add(without(generation, projection, records, is_left_out)?);
    }
    generation.set_skipped(skipped)?;
    synced(generation, released)
}

/// Projects what waits of every key, each up to the first event that still cannot be: what an older program could not project
/// a newer one may. Whoever opens a generation to serve it does so, so that none that is served lacks what another one had.
/// Nothing is written where nothing changes.
///
/// # Errors
/// [`StoreError`]; keys before the one at which it failed are done.
pub fn release_all<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
) -> Result<Released, StoreError> {
    let mut released = Released::default();
    let quarantine = generation.quarantine();
    let mut keys = quarantine.waiting_keys().peekable();
    while keys.peek().is_some() {
        let (mut together, mut records) = (Vec::new(), 0);
        while let Some((source, key)) = keys.next_if(|_| records < RECORDS_TOGETHER) {
            together.push(generation.parked_of(source, key)?);
            records += together.last().map_or(0, Vec::len);
        }
        released.add(release_together(generation, projection, together)?);
    }
    synced(generation, released)
}

/// Projects what waits of several keys, as many of them in one batch as can be projected whole.
fn release_together<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    mut keys: Vec<Vec<ParkedRecord>>,
) -> Result<Released, StoreError> {
    let mut released = Released::default();
    while !keys.is_empty() {
        let mut behind = Vec::new();
        let folding = loop {
            let mut folding = Folding::new(generation, projection);
            let whole = folding.fold_keys(&keys)?;
            if whole == keys.len() {
                break folding;
            }
            // The tables may hold half of the one that failed.
            behind.splice(0..0, keys.split_off(whole));
        };
        let records: Vec<_> = keys.into_iter().flatten().collect();
        if !records.is_empty() {
            folding.commit(&records, None)?;
        }
        released.projected += records.len() as u64;
        keys = behind;
        if !keys.is_empty() {
            released.add(without(generation, projection, keys.remove(0), |_| false)?);
        }
    }
    Ok(released)
}

/// Somebody is about to be told that it is done.
fn synced(generation: &Generation, released: Released) -> Result<Released, StoreError> {
    if released.projected + released.left_out > 0 {
        generation.sync()?;
    }
    Ok(released)
}

/// Takes some of the waiting events of a key out, and projects the others as far as they can be.
fn without<E: EventData>(
    generation: &Generation,
    projection: Projection<E>,
    records: Vec<ParkedRecord>,
    is_left_out: impl Fn(&ParkedRecord) -> bool,
) -> Result<Released, StoreError> {
    let (left_out, mut rest): (Vec<_>, Vec<_>) = records.into_iter().partition(is_left_out);
    let (mut waiting, mut changed) = (Vec::new(), !left_out.is_empty());
    let mut folding = Folding::new(generation, projection);
    while let Err((index, reason)) = folding.fold_all(&rest) {
        if let StopReason::Store(error) = reason {
            return Err(error);
        }
        // The tables may hold half of the one that failed.
        folding = Folding::new(generation, projection);
        waiting = rest.split_off(index);
        let reason = Some(shortened(&reason.cause()));
        changed |= waiting[0].reason != reason;
        waiting[0].reason = reason;
    }
    changed |= !rest.is_empty();
    let released = Released {
        projected: rest.len() as u64,
        left_out: left_out.len() as u64,
        waiting: waiting.len() as u64,
    };
    if !changed {
        return Ok(released);
    }
    rest.extend(left_out);
    folding.commit(&rest, waiting.into_iter().next())?;
    Ok(released)
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

    /// Folds all, or says which one cannot be, and why.
    fn fold_all(&mut self, records: &[ParkedRecord]) -> Result<(), (usize, StopReason)> {
        records
            .iter()
            .enumerate()
            .try_for_each(|(index, record)| self.fold(record).map_err(|reason| (index, reason)))
    }

    /// How many of these keys, from the first on, can be folded whole.
    fn fold_keys(&mut self, keys: &[Vec<ParkedRecord>]) -> Result<usize, StoreError> {
        for (index, records) in keys.iter().enumerate() {
            match self.fold_all(records) {
                Ok(()) => {}
                Err((_, StopReason::Store(error))) => return Err(error),
                Err(_) => return Ok(index),
            }
        }
        Ok(keys.len())
    }

    fn fold(&mut self, record: &ParkedRecord) -> Result<(), StopReason> {
        let ParkedRecord { position, offset, ref value, ref headers, .. } = *record;
        let at = |id| Box::new(record.at(id));
        let opened = event_data::open::<E>(value.as_deref(), || headers.clone())
            .map_err(|error| StopReason::unreadable(at(record.event_id()), error))?;
        let source = self.sources.iter().find(|source| source.id == record.source);
        if let Some(source) = source {
            source.check_origin(&opened.source, opened.id, offset)?;
        }
        if opened.position != position {
            let error = SequenceError::Gap { expected: position, found: opened.position };
            return Err(StopReason::Sequence { at: at(Some(opened.id)), error });
        }
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

    /// Writes the rows, with what no longer waits and the event that is now the first to wait.
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

impl Released {
    fn add(&mut self, other: Self) {
        self.projected += other.projected;
        self.left_out += other.left_out;
        self.waiting += other.waiting;
    }
}

impl SkippedEvent {
    fn is(&self, record: &ParkedRecord) -> bool {
        let source = SourceId { topic: self.topic.as_str().into(), partition: self.partition };
        (&source, self.position, self.id) == (&record.source, record.position, record.id)
    }
}
