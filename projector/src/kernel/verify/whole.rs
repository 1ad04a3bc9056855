//! A whole generation compared with one that is built aside, row by row where they differ.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use event_log::Kafka;
use schemas::event_data::EventData;
use serde::Serialize;
use uuid::Uuid;

use super::parked::parked_differently;
use super::ranges::{RangeDigests, RangeRows, StoredKey};
use super::served::{HoldError, Served};
use crate::kernel::catch_up::catch_up;
use crate::kernel::generation::Generation;
use crate::kernel::keys;
use crate::kernel::projection::Projection;
use crate::kernel::quarantine::leave_out;
use crate::kernel::read_model::{ReadModel, VERIFY_DIRECTORY};
use crate::kernel::replay::{ReplayError, ReplayOptions, ReplayProgress, rebuild_aside};
use crate::kernel::stop::StopReason;
use crate::kernel::store::{GenerationError, StoreError};

/// One row or part that is not what the log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Name of the view.
    pub view: String,
    /// Key of the row.
    pub key: Uuid,
    /// Number of the part, if it is one.
    pub part: Option<u32>,
    /// The published generation's bytes, as hexadecimal digits; none if it has no such row.
    pub served: Option<String>,
    /// The bytes that follow from the log; none if there should be no such row.
    pub rebuilt: Option<String>,
}

/// A place in the order of the rows: one of them, or one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowName {
    /// Name of the view.
    pub view: String,
    /// Key of the row.
    pub key: Uuid,
}

/// Rows of the published generation that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// None of them comes before this row; none if it is not known.
    pub after: Option<RowName>,
    /// They all come before this row; none if they may go on to the end.
    pub before: Option<RowName>,
    /// What the store said.
    pub detail: String,
}

/// What a verification has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Name of the published generation.
    pub generation: String,
    /// Events that both hold.
    pub events: u64,
    /// Digest that the published generation has kept.
    pub digest_kept: String,
    /// Digest of the rows that follow from the log.
    pub digest_rebuilt: String,
    /// Keys of which not the same events wait in quarantine.
    pub parked_differently: Vec<String>,
    /// Rows that differ, in the order of their stored keys.
    pub differences: Vec<Difference>,
    /// Rows that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// There are more than were asked for.
    pub more: bool,
}

impl VerifyReport {
    /// Whether the published generation is what the log says.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.differences.is_empty()
            && self.unreadable.is_empty()
            && self.digest_kept == self.digest_rebuilt
            && self.parked_differently.is_empty()
    }
}

impl VerifyReport {
    /// Whether all that can be read is what the log says: then a replay publishes without being told to accept a difference,
    /// once it has met what cannot be read.
    #[must_use]
    pub fn is_unreadable_only(&self) -> bool {
        !self.unreadable.is_empty() && Self { unreadable: Vec::new(), ..self.clone() }.is_sound()
    }
}

/// Why a verification did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The published generation cannot be looked at.
    #[error(transparent)]
    Served(#[from] HoldError),
    /// Nothing is published.
    #[error("no generation has been published; build one with `projector --replay`")]
    Nothing,
    /// The other one cannot be built.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The other one cannot be opened.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// It took longer than the published generation stands still.
    #[error(
        "the published generation moved on while it was being read; verify again, when the machine has less to do"
    )]
    Moved,
    /// The log does not go on to where the published generation is.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// A generation cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VerifyError {
    /// Whether another process has the directory.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Replay(error) if error.is_in_use())
    }
}

/// Builds a generation aside up to where the published one is, and compares all rows. At most `limit` differences are
/// listed.
///
/// # Errors
/// [`VerifyError`].
pub fn verify<E: EventData + 'static>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    options: &ReplayOptions,
    limit: usize,
    on_progress: impl FnMut(ReplayProgress),
    cancelled: &AtomicBool,
) -> Result<VerifyReport, VerifyError> {
    let _lock = read_model.lock_for_replay(&options.holder).map_err(ReplayError::from)?;
    let layout = projection.layout();
    let served =
        Served::find_repaired(read_model, projection, &options.holder)?.ok_or(VerifyError::Nothing)?;
    let goal = served.hold()?;
    served.release()?;
    let aside = read_model.path_of(VERIFY_DIRECTORY);
    remove(&aside)?;
    let options = ReplayOptions {
        into: Some(aside.clone()),
        publish: false,
        goal: Some(goal.checkpoint.into()),
        skipped: read_model.skipped().map_err(ReplayError::from)?,
        ..options.clone()
    };
    rebuild_aside(kafka, projection, &options, on_progress, cancelled)?;
    let rebuilt = Generation::open(&aside, &layout, &options.holder)?;
    leave_out(&rebuilt, projection, options.skipped)?;
    let report = compare(kafka, projection, &served, &rebuilt, limit, cancelled);
    served.release()?;
    drop(rebuilt);
    remove(&aside)?;
    report
}

fn compare<E: EventData>(
    kafka: &Kafka,
    projection: Projection<E>,
    served: &Served,
    rebuilt: &Generation,
    limit: usize,
    cancelled: &AtomicBool,
) -> Result<VerifyReport, VerifyError> {
    let held = served.hold()?;
    catch_up(kafka, rebuilt, projection, &held.checkpoint, cancelled)?;
    if cancelled.load(Ordering::Relaxed) {
        let done = rebuilt.checkpoint().records();
        return Err(ReplayError::Cancelled { done, total: held.checkpoint.records() }.into());
    }
    let ours = RangeDigests::choose(rebuilt)?;
    let theirs = served.digests(&ours.borders)?;
    let (mut differences, mut unreadable, mut more) = (Vec::new(), Vec::new(), false);
    for (from, to) in ours.differing(&theirs) {
        let mut theirs = served.rows(from, to)?;
        let mut ours = RangeRows::read(rebuilt, from.map(String::as_str), to.map(String::as_str))?;
        if let Some(detail) = ours.unreadable {
            return Err(StoreError::damaged("read", rebuilt.path(), detail).into());
        }
        more |= theirs.more;
        if let Some(detail) = theirs.unreadable.take() {
            let last = theirs.rows.last().map(|row| row.key.clone());
            // What comes behind is not missing.
            ours.rows.retain(|row| last.as_ref().is_some_and(|last| row.key <= *last));
            let named = |key: Option<&StoredKey>| Some(named(&projection, key?)?.0);
            unreadable.push(Unreadable { after: named(last.as_ref().or(from)), before: named(to), detail });
        }
        differences.extend(differing_rows(&projection, theirs, ours));
        if differences.len().max(unreadable.len()) > limit {
            break;
        }
    }
    if served.hold()?.checkpoint != held.checkpoint {
        return Err(VerifyError::Moved);
    }
    more |= differences.len().max(unreadable.len()) > limit;
    differences.truncate(limit);
    unreadable.truncate(limit);
    Ok(VerifyReport {
        generation: held.generation,
        events: held.checkpoint.events(),
        parked_differently: parked_differently(&held.parked, &rebuilt.quarantine()),
        digest_kept: held.digest,
        digest_rebuilt: rebuilt.digest().to_string(),
        differences,
        unreadable,
        more,
    })
}

/// The row of a stored key, and the number of its part.
fn named<E>(projection: &Projection<E>, key: &StoredKey) -> Option<(RowName, Option<u32>)> {
    let (view, key, part) = keys::decode(&hex::decode(key).ok()?).ok()?;
    let name = projection.views.iter().find(|known| known.id == view).map(|known| known.name.to_owned());
    Some((RowName { view: name.unwrap_or_else(|| format!("view {view}")), key }, part))
}

fn differing_rows<E>(projection: &Projection<E>, served: RangeRows, rebuilt: RangeRows) -> Vec<Difference> {
    let mut rows: BTreeMap<StoredKey, (Option<String>, Option<String>)> = BTreeMap::new();
    served.rows.into_iter().for_each(|row| rows.entry(row.key).or_default().0 = Some(row.value));
    rebuilt.rows.into_iter().for_each(|row| rows.entry(row.key).or_default().1 = Some(row.value));
    rows.retain(|_, (served, rebuilt)| served != rebuilt);
    let difference = |(key, (served, rebuilt)): (StoredKey, _)| {
        let (RowName { view, key }, part) = named(projection, &key)?;
        Some(Difference { view, key, part, served, rebuilt })
    };
    rows.into_iter().filter_map(difference).collect()
}

fn remove(aside: &std::path::Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::new("remove", aside, error))
        }
        _ => Ok(()),
    }
}
