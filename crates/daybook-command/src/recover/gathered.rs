//! Rows on their way into a store, gathered so that they are written in the order of their keys; unique keys among them.
//!
//! sled takes ascending keys several times as fast as random ones, and a row that changes again before it is written
//! costs one write. What is gathered is bounded in bytes, and written by a thread of its own while more gathers.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use daybook_service::fires;
use daybook_store::{Store, StoreError};
use uuid::Uuid;

use crate::aggregate::{Aggregate, UniqueKeys};
use crate::recover::RecoverError;
use crate::store::Opening;
use crate::store::fields::Damaged;
use crate::store::keys;
use crate::store::rows::{Owners, UniqueForm, Versioned};

/// Bytes of keys and values gathered before they are written, and once more while that is done; a few times that in
/// memory. So few in tests that some thousand events are written in several parts.
const GATHERED_BYTES_MAX: usize = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Rows written into a store that is in use, before a look at how much of it is unsynced.
const SYNCED_ROWS: usize = 64;

pub(super) struct Gathered {
    store: Arc<Store>,
    /// What is in the store already must not be lost: no more lies unsynced than may.
    is_in_use: bool,
    rows: Rows,
    bytes: usize,
    /// Are being written, and are in the store only in part.
    writing: Arc<Rows>,
    writer: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Gathered {
    /// Into a new store.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, is_in_use: false, rows: Rows::new(), bytes: 0, writing: Arc::default(), writer: None }
    }

    /// Into a store that is in use.
    pub(super) fn synced(store: Arc<Store>) -> Self {
        let mut gathered = Self::new(store);
        gathered.is_in_use = true;
        gathered
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.rows.get(key).or_else(|| self.writing.get(key)) {
            Some(row) => Ok(Some(row.clone())),
            None => Ok(self.store.get(key)?.map(|row| row.to_vec())),
        }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, row: Vec<u8>) -> Result<(), StoreError> {
        self.bytes += key.len() + row.len();
        if let Some(before) = self.rows.insert(key, row) {
            self.bytes = self.bytes.saturating_sub(before.len());
        }
        if self.bytes >= GATHERED_BYTES_MAX { self.begin_to_write() } else { Ok(()) }
    }

    /// Writes what is gathered. Not atomic: nobody uses the rows before all are there.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.begin_to_write()?;
        self.written()
    }

    /// Hands over what is gathered, once what was handed over before is written.
    fn begin_to_write(&mut self) -> Result<(), StoreError> {
        self.written()?;
        self.bytes = 0;
        self.writing = Arc::new(std::mem::take(&mut self.rows));
        let (store, rows, is_in_use) = (Arc::clone(&self.store), Arc::clone(&self.writing), self.is_in_use);
        let write = move || fill(&store, &rows, is_in_use);
        match thread::Builder::new().name("fill".to_owned()).spawn(write) {
            Ok(writer) => self.writer = Some(writer),
            // Without a thread it takes longer.
            Err(_) => fill(&self.store, &self.writing, is_in_use)?,
        }
        Ok(())
    }

    fn written(&mut self) -> Result<(), StoreError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

fn fill(store: &Store, rows: &Rows, is_in_use: bool) -> Result<(), StoreError> {
    if !is_in_use {
        return store.fill(rows.iter());
    }
    let mut rows = rows.iter().peekable();
    while rows.peek().is_some() {
        let rows = rows.by_ref().take(SYNCED_ROWS);
        store.apply(rows.map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect())?;
        if store.is_full_of_unsynced() {
            store.sync()?;
        }
    }
    Ok(())
}

impl Drop for Gathered {
    /// Nothing is written to the store any more when this is gone.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // Whoever gives up has a reason of its own.
            let _ = writer.join();
        }
    }
}

// Unique keys are made of the states. Here they are all made at once: of a store that is rebuilt, and of one whose keys are
// of another form than those of this program.
//
// A state that cannot be read stops a rebuilding. Where only the keys are built again it costs its own key, and is named: all
// others go on, without the log.
//
// Of aggregates that have one key by today's form the one with the smallest id, which was made first, keeps it; the others
// stay as they are and have it once that one has given it up. Each is named.
//
// Which form the keys have, and up to which record of the journal they were built, stands in a row of its own. It goes
// before anything is changed and comes when all is there, so a building that is interrupted is done again. Keys that
// earlier records of the journal name are none of that form: `index` does not bring them back.

const ROWS_MAX: usize = 500;
const PROGRESS_PAUSE: Duration = Duration::from_secs(3);

/// The row that says that the keys are of today's form, and built from the states as this record left them.
pub(super) fn form_row<A: Aggregate>(built_at: u64) -> (Vec<u8>, Vec<u8>) {
    (keys::unique_form(), UniqueForm { form: UniqueKeys::<A>::form(), built_at }.encode())
}

/// Builds the keys of a store again if they are not of today's form. It has all records of the journal, up to this one.
pub(super) fn bring_to_form<A: Aggregate>(
    store: &Arc<Store>,
    last_record: u64,
    opening: &Opening<'_>,
) -> Result<(), RecoverError> {
    if UniqueKeys::<A>::form() == 0 {
        return Ok(());
    }
    let found = store.get(&keys::unique_form())?;
    let found = found.map(|row| UniqueForm::decode(&row)).transpose()?;
    if found.is_some_and(|found| found.form == UniqueKeys::<A>::form()) {
        return Ok(());
    }
    let began = Instant::now();
    opening.progress.report("building the unique keys of all aggregates");
    store.apply(vec![(keys::unique_form(), None)])?;
    store.sync()?;
    remove_all(store)?;
    let mut rows = Gathered::synced(Arc::clone(store));
    let built = build::<A>(store, &mut rows, |id, damaged| {
        tracing::error!(
            topic = opening.topic,
            %id,
            "the state of an aggregate cannot be read ({damaged}): it has no unique key, and another one may take it, until the index is \
             built again; for that stop the service, move store/index away, and start it"
        );
        Ok(())
    })?;
    store.sync()?;
    let (key, row) = form_row::<A>(last_record);
    store.apply(vec![(key, Some(row))])?;
    store.sync()?;
    if built.aggregates > 0 {
        let (aggregates, twins, seconds) = (built.aggregates, built.twins, began.elapsed().as_secs_f64());
        tracing::info!(topic = opening.topic, aggregates, twins, seconds, "all unique keys were built again");
    }
    Ok(())
}

fn remove_all(store: &Store) -> Result<(), StoreError> {
    loop {
        let rows = store.scan(&keys::all_unique(), ROWS_MAX)?;
        if rows.is_empty() {
            return Ok(());
        }
        store.apply(rows.iter().map(|(key, _)| (key.to_vec(), None)).collect())?;
        if store.is_full_of_unsynced() {
            store.sync()?;
        }
    }
}

/// What keys were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Built {
    pub(super) aggregates: u64,
    /// Aggregates that have a key which another one keeps.
    pub(super) twins: u64,
}

/// Makes the keys of all states of a store that has none yet; `damaged` says whether it goes on without one that cannot be read.
pub(super) fn build<A: Aggregate>(
    store: &Store,
    rows: &mut Gathered,
    damaged: impl Fn(Uuid, Damaged) -> Result<(), RecoverError>,
) -> Result<Built, RecoverError> {
    let (mut span, mut built, mut reported_at) = (keys::aggregates(), Built::default(), Instant::now());
    loop {
        let states = store.scan(&span, ROWS_MAX)?;
        let Some((last, _)) = states.last() else { break };
        span.0 = [last, &[0][..]].concat();
        for (key, row) in &states {
            if fires("forget-aggregate") {
                store.apply(vec![(key.to_vec(), None)])?;
                continue;
            }
            built.aggregates += 1;
            let id = keys::aggregate_id(key);
            match Versioned::<A::State>::decode(row) {
                Ok(row) => built.twins += claim(id, &UniqueKeys::<A>::of(&row.state), rows)?,
                Err(error) => damaged(id, error)?,
            }
        }
        if reported_at.elapsed() >= PROGRESS_PAUSE {
            reported_at = Instant::now();
            tracing::info!(
                topic = A::TOPIC,
                done = built.aggregates,
                "building the unique keys of all aggregates"
            );
        }
    }
    rows.write()?;
    if built.twins > 0 {
        tracing::warn!(
            topic = A::TOPIC,
            twins = built.twins,
            "so many aggregates have a unique key that an earlier one keeps; all of them stay, and each is named above"
        );
    }
    Ok(built)
}

/// Notes whose these keys are too. Returns how many of them another one keeps.
fn claim(id: Uuid, unique: &[String], rows: &mut Gathered) -> Result<u64, RecoverError> {
    let mut kept_by_others = 0;
    for unique in unique {
        let key = keys::unique(unique);
        let mut owners = rows.get(&key)?.map(|row| Owners::decode(&row)).transpose()?.unwrap_or_default();
        if let Some(keeps) = owners.first().filter(|first| *first != id) {
            // No key: it may be a person's address.
            tracing::warn!(%keeps, also = %id, "two aggregates have one unique key; the earlier one keeps it");
            kept_by_others += 1;
        }
        owners.add(id);
        if let Some(row) = owners.encode().filter(|_| !fires("forget-key")) {
            rows.put(key, row)?;
        }
    }
    Ok(kept_by_others)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A power cut may take what was there before with more than a segment of sled's log that is not synced; one of its buffers,
    /// another segment, comes on top where its threads are behind.
    #[test]
    fn a_store_that_is_in_use_has_no_more_unsynced_than_a_segment_and_a_buffer() {
        const UNSYNCED_BYTES_MAX: u64 = 2 * 1024 * 1024;
        for (make, is_bounded) in [(Gathered::synced as fn(_) -> _, true), (Gathered::new, false)] {
            let dir = TempDir::new().unwrap();
            let store = Arc::new(Store::open(dir.path(), 16 << 20).unwrap());
            let mut rows = make(Arc::clone(&store));
            let mut most = 0;
            for number in 0..40_000_u32 {
                rows.put(number.to_be_bytes().to_vec(), vec![1; 200]).unwrap();
                most = most.max(store.unsynced_bytes());
            }
            rows.write().unwrap();
            most = most.max(store.unsynced_bytes());
            assert_eq!(most <= UNSYNCED_BYTES_MAX, is_bounded, "{most} bytes");
            assert_eq!(store.get(&39_999_u32.to_be_bytes()).unwrap().unwrap().len(), 200);
        }
    }
}
