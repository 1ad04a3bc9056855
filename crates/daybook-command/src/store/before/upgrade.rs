//! A directory from before there was a journal becomes one of today. What it has is written beside it, into the place where
//! `--recover` builds, and put into its place as that does; the old store is kept aside. Killed anywhere, it begins again.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use daybook_journal::{AppendError, KeyOutcome, PartitionState};
use daybook_store::{Store, StoreError};
use uuid::Uuid;

use crate::commit::idempotency::Remembered;
use crate::reconcile::{self, Recorded};
use crate::store::before::StoreBefore;
use crate::store::directory::INDEX;
use crate::store::rows::RowError;
use crate::store::{self, Filling, KeptError, Opening};
use crate::store::{index, keys};

/// Rows copied together.
const COPIED_ROWS_MAX: usize = 1_024;
const PROGRESS_PAUSE: Duration = Duration::from_secs(3);
const REMEDY: &str = "keep a copy of the directory, then start with --recover, which rebuilds it from the log and takes over what of the \
                      outbox can be read";

/// Why a directory from before could not be taken over. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("the store cannot be read: {0}; {REMEDY}")]
    Old(#[from] RowError),
    #[error("the new store cannot be written: {0}")]
    New(#[from] StoreError),
    // Not transparent, which would hide it from who looks for what may pass.
    #[error("{0}")]
    Kept(#[from] KeptError),
    #[error("the journal cannot be written: {0}")]
    Journal(#[from] AppendError),
    #[error("what is left of an earlier attempt cannot be removed: {0}")]
    Left(#[from] io::Error),
    #[error(
        "the outbox has no event at position {position} of partition {partition}, and continues to before position {next}; {REMEDY}"
    )]
    Missing { partition: i32, position: u64, next: u64 },
    #[error(
        "the last event of partition {partition}, at position {position}, is {found} in the outbox and another one by its counter; {REMEDY}"
    )]
    LastEvent { partition: i32, position: u64, found: Uuid },
}

/// Builds journal and index of today in the empty place `to`, from the store in `from`.
pub(crate) fn upgrade(from: &Path, to: &Path, opening: &Opening<'_>) -> Result<(), UpgradeError> {
    let began = Instant::now();
    tracing::info!(store = %from.display(), "a store from before there was a journal is taken over");
    let old = StoreBefore::open(from, opening.cache_bytes_max)?;
    let states = (0..opening.partitions).map(|partition| state(&old, partition));
    let states = states.collect::<Result<Vec<_>, RowError>>()?;
    fs::create_dir_all(to)?;
    let begins: Vec<_> = states.iter().map(|(state, _)| *state).collect();
    let journal = store::make_journal(to, opening, &begins)?;
    let mut into = Filling::new(journal, opening.now_ms);
    for ((_, recorded), partition) in states.iter().zip(0..) {
        take_outbox(&mut into, &old, partition, recorded)?;
    }
    take_keys(&mut into, &old, opening.now_ms)?;
    into.write()?;
    let mut journal = into.journal;
    let store = Store::open(&to.join(INDEX), opening.cache_bytes_max)?;
    let rows = copy_rows(&old.0, &store)?;
    store.fill([index::done_row(journal.last_number(), journal.id())])?;
    store.close()?;
    journal.index_synced(journal.last_number());
    let (keys, seconds) = (journal.reader().keys(), began.elapsed().as_secs_f64());
    journal.close(opening.now_ms)?;
    tracing::info!(rows, keys, seconds, "a store from before there was a journal was taken over");
    Ok(())
}

/// Where the journal begins: before the first event that is kept.
fn state(old: &StoreBefore, partition: i32) -> Result<(PartitionState, Recorded), RowError> {
    let recorded = old.recorded(partition)?;
    let is_empty = recorded.kept_from == recorded.counter.next;
    let state = PartitionState {
        next: recorded.kept_from,
        last_id: recorded.counter.last_id.filter(|_| is_empty),
        acknowledged: recorded.sent,
        mark: reconcile::mark(&old.mark(partition)?),
    };
    Ok((state, recorded))
}

fn take_outbox(
    into: &mut Filling,
    old: &StoreBefore,
    partition: i32,
    recorded: &Recorded,
) -> Result<(), UpgradeError> {
    let (mut at, next) = (recorded.kept_from, recorded.counter.next);
    let missing = |position| UpgradeError::Missing { partition, position, next };
    if at > recorded.sent {
        return Err(missing(recorded.sent));
    }
    let mut last = None;
    while at < next {
        let events = old.events_from(partition, at)?;
        if events.is_empty() {
            return Err(missing(at));
        }
        at += events.len() as u64;
        last = events.last().map(|event| event.id);
        for event in events {
            into.add(event.bytes(), |group| group.events.push(event))?;
        }
    }
    match last {
        Some(found) if at > next || Some(found) != recorded.counter.last_id => {
            Err(UpgradeError::LastEvent { partition, position: at - 1, found })
        }
        _ => Ok(()),
    }
}

/// Takes over what is remembered, but for what has expired.
fn take_keys(into: &mut Filling, old: &StoreBefore, now_ms: u64) -> Result<(), UpgradeError> {
    let mut span = (vec![b'I'], vec![b'I' + 1]);
    loop {
        let rows = old.0.scan(&span, COPIED_ROWS_MAX).map_err(RowError::from)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        span.0 = [last, &[0][..]].concat();
        for (key, value) in rows {
            let hash: Option<[u8; 16]> = key.get(1..).and_then(|hash| hash.try_into().ok());
            let expires_ms = match Remembered::decode(&value) {
                Ok(remembered) => remembered.expires_ms,
                Err(error) => {
                    // All others are worth more than to be given up for it.
                    tracing::error!(?hash, %error, "what became of the request with one idempotency key is not known any more");
                    continue;
                }
            };
            let Some(hash) = hash.filter(|_| expires_ms > now_ms) else { continue };
            let key = KeyOutcome { hash, outcome: value.to_vec() };
            into.add(key.outcome.len() + 32, |group| group.keys.push(key))?;
        }
    }
}

/// Copies the rows that an index has today. Returns how many.
fn copy_rows(from: &Store, to: &Store) -> Result<u64, UpgradeError> {
    let (mut span, mut copied, mut reported_at) = ((Vec::new(), vec![u8::MAX]), 0, Instant::now());
    loop {
        let rows = from.scan(&span, COPIED_ROWS_MAX).map_err(RowError::from)?;
        let Some((last, _)) = rows.last() else { return Ok(copied) };
        span.0 = [last, &[0][..]].concat();
        let rows = rows.iter().filter(|(key, _)| keys::is_of_today(key));
        let rows: Vec<_> = rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        copied += rows.len() as u64;
        to.fill(rows)?;
        if to.is_full_of_unsynced() {
            to.sync()?;
        }
        if reported_at.elapsed() >= PROGRESS_PAUSE {
            reported_at = Instant::now();
            tracing::info!(rows = copied, "taking over a store from before there was a journal");
        }
    }
}
