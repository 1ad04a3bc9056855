//! Unique keys are made of the states. Here they are all made at once: of a store that is rebuilt, and of one whose keys are
//! of another form than those of this program.
//!
//! A state that cannot be read stops a rebuilding. Where only the keys are built anew it costs its own key, and is named: all
//! others go on, without the log.
//!
//! Of aggregates that have one key by today's form the one with the smallest id, which was made first, keeps it; the others
//! stay as they are and have it once that one has given it up. Each is named.
//!
//! Which form the keys have, and up to which record of the journal they were built, stands in a row of its own. It goes
//! before anything is changed and comes when all is there, so a building that is interrupted is done again. Keys that
//! earlier records of the journal name are none of that form: `index` does not bring them back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_service::fires;
use daybook_store::{Store, StoreError};
use uuid::Uuid;

use super::gathered::Gathered;
use super::rebuild::TakeError;
use crate::aggregate::{Aggregate, UniqueKeys};
use crate::fields::Damaged;
use crate::kept::Opening;
use crate::keys;
use crate::rows::{Owners, UniqueForm, Versioned};

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
) -> Result<(), TakeError> {
    if UniqueKeys::<A>::form() == 0 {
        return Ok(());
    }
    let found = store.get(&keys::unique_form())?;
    let found = found.map(|row| UniqueForm::decode(&row)).transpose()?;
    if found.is_some_and(|found| found.form == UniqueKeys::<A>::form()) {
        return Ok(());
    }
    let began = Instant::now();
    opening.starting.says("building the unique keys of all aggregates");
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
    damaged: impl Fn(Uuid, Damaged) -> Result<(), TakeError>,
) -> Result<Built, TakeError> {
    let (mut span, mut built, mut told_at) = (keys::aggregates(), Built::default(), Instant::now());
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
        if told_at.elapsed() >= PROGRESS_PAUSE {
            told_at = Instant::now();
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
fn claim(id: Uuid, unique: &[String], rows: &mut Gathered) -> Result<u64, TakeError> {
    let mut kept_by_others = 0;
    for unique in unique {
        let key = keys::unique(unique);
        let mut owners = rows.get(&key)?.map(|row| Owners::decode(&row)).transpose()?.unwrap_or_default();
        if let Some(keeps) = owners.first().filter(|first| *first != id) {
            // No key: it may be somebody's address.
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
