//! Beginning a build, or resuming what an earlier replay has left of one.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use super::options::{ReplayError, ReplayOptions};
use super::parked::PARKED_SUFFIX;
use super::work::RUN_SUFFIX;
use crate::checkpoint::Checkpoint;
use crate::external_sort::{Journal, JournalError, JournalFile, UnitEntry};
use crate::generation::{self, Generation};
use crate::projection::Projection;
use crate::sources;
use crate::store::{GenerationError, StoreError};

pub(super) fn begin<E>(
    path: &Path,
    projection: &Projection<E>,
    start: &Checkpoint,
    options: &ReplayOptions,
) -> Result<(Generation, JournalFile), ReplayError> {
    let layout = projection.layout();
    // An old journal counts on rows that are about to go: a process that resumes after a kill in between starts again.
    if generation::has_foreign_files(path).is_ok_and(|foreign| !foreign) {
        JournalFile::remove(&generation::build_path(path))?;
    }
    let generation = Generation::create(path, &layout, start, &options.holder)?;
    let skipped = options.skipped.clone();
    let journal = JournalFile::create(&generation.build_path(), &layout, start, skipped)?;
    Ok((generation, journal))
}

/// Resumes what is durable of a build; `None` if nothing is.
pub(super) fn resume<E>(
    name: &str,
    path: &Path,
    projection: &Projection<E>,
    start: &Checkpoint,
    options: &ReplayOptions,
) -> Result<Option<(Generation, JournalFile)>, ReplayError> {
    let abandoned = |reason: String| ReplayError::Abandoned { name: name.to_owned(), reason };
    if let Some(misplaced) = generation::misplaced_in_build(path) {
        return Err(abandoned(misplaced));
    }
    let layout = projection.layout();
    let journal = match JournalFile::open(&generation::build_path(path), &layout) {
        Ok(Some(journal)) => journal,
        Ok(None) => return Ok(None),
        Err(JournalError::Store(error)) => return Err(error.into()),
        Err(error @ JournalError::Damaged) => return Ok(given_up(name, &error)),
        Err(JournalError::Foreign { reason }) => return Err(abandoned(reason)),
    };
    if sources::partitions(&journal.read().checkpoint) != sources::partitions(start) {
        return Err(abandoned("it was begun with other topics or partitions".to_owned()));
    }
    if journal.read().skipped != options.skipped {
        return Err(abandoned("it was begun before events were left out with --skip-event".to_owned()));
    }
    if options.stop_at_quarantine && !journal.read().parked.is_empty() {
        return Ok(given_up(name, &"records wait in it, and the first one is to be named"));
    }
    // Rows count from the first unit that is done; what was written before that is written again.
    let has_rows = journal.read().settled || journal.read().units.iter().any(UnitEntry::is_done);
    let opened = match has_rows {
        true => Generation::resume(path, &layout, &options.holder),
        false => Generation::create(path, &layout, start, &options.holder),
    };
    match opened {
        Ok(generation) if !is_as_settled(&generation, &journal.read()) => {
            Ok(given_up(name, &"its rows are not what was written"))
        }
        Ok(generation) => Ok(Some((generation, journal))),
        Err(error) if error.is_damage() => Ok(given_up(name, &error)),
        Err(
            error @ (GenerationError::InUse { .. } | GenerationError::Lock(_) | GenerationError::Store(_)),
        ) => Err(error.into()),
        Err(error) => Err(abandoned(error.to_string())),
    }
}

/// Whether a generation is what its journal says of it; it may have been followed since it was settled.
fn is_as_settled(generation: &Generation, journal: &Journal) -> bool {
    let (now, then) = (generation.moment(), &journal.checkpoint);
    let same_place = now.checkpoint.covers(then) && then.covers(&now.checkpoint);
    !journal.settled || now.checkpoint.covers(then) && (!same_place || journal.digest() == Some(now.digest))
}

/// What is damaged is built again: nothing of it is lost but time.
fn given_up<T>(name: &str, error: &dyn Display) -> Option<T> {
    tracing::warn!("{name} cannot be resumed, and is built again from the start: {error}");
    None
}

/// Number of the next run. Removes runs, and records that wait with them, that the journal does not name: they were not
/// durable when the build stopped.
pub(super) fn next_run(build: &Path, named: &[String]) -> Result<u64, StoreError> {
    let io_error = |error| StoreError::new("tidy", build, error);
    for entry in fs::read_dir(build).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if (name.ends_with(RUN_SUFFIX) || name.ends_with(PARKED_SUFFIX)) && !named.contains(&name) {
            fs::remove_file(entry.path()).map_err(io_error)?;
        }
    }
    let number = |name: &String| name.strip_suffix(RUN_SUFFIX)?.parse::<u64>().ok();
    Ok(named.iter().filter_map(number).max().map_or(0, |last| last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Projection<()> = Projection { layout_version: 1, topics: &[], views: &[] };

    #[test]
    fn a_start_from_nothing_forgets_the_old_journal_before_its_rows_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (start, options) =
            (Checkpoint::zero([("orders.events", 1)]), ReplayOptions::new(1, "a test".to_owned()));
        let begin = || begin(path, &NOTHING, &start, &options);
        drop(begin().unwrap());
        let journal = |path: &Path| JournalFile::open(&generation::build_path(path), &NOTHING.layout());
        assert!(journal(path).unwrap().is_some());
        // It gets no further than this, as if it had been killed there.
        fs::remove_dir_all(path.join("rows")).unwrap();
        fs::write(path.join("rows"), "").unwrap();
        begin().map(drop).unwrap_err();
        assert!(journal(path).unwrap().is_none());
    }

    #[test]
    fn nothing_of_others_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let build = generation::build_path(directory.path());
        fs::create_dir(&build).unwrap();
        fs::write(build.join("JOURNAL"), "theirs").unwrap();
        fs::write(directory.path().join("README"), "theirs").unwrap();
        let (start, options) =
            (Checkpoint::zero([("orders.events", 1)]), ReplayOptions::new(1, "a test".to_owned()));
        begin(directory.path(), &NOTHING, &start, &options).map(drop).unwrap_err();
        assert!(build.join("JOURNAL").exists());
    }
}
