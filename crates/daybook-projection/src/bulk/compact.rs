//! Many runs made one, where there are more than can be merged at once.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::merge::Merge;
use super::run::{RunWriter, Section};
use super::{Run, Unit};
use crate::store::StoreError;

/// Most runs that are merged at once: each is an open file and a buffer for every thread.
pub(crate) const RUNS_MERGED_MAX: usize = 128;
/// Bytes read of a run at once.
const READ_BYTES: usize = 128 << 10;

impl Run {
    /// Writes a run with all changes of `runs`, which follow one another. Nothing is synced.
    pub(crate) fn merge(path: &Path, runs: &[Arc<Self>]) -> Result<File, StoreError> {
        merge(path, runs).map_err(|error| StoreError::of_file("write", path, &error))
    }
}

fn merge(path: &Path, runs: &[Arc<Run>]) -> io::Result<File> {
    let views = runs.iter().map(|run| run.sections.len()).max().unwrap_or(0);
    let mut writer = RunWriter::create(path)?;
    for view in 0..views {
        let mut groups = Merge::open(runs, &Unit { view, from: 0, to: None }, READ_BYTES)?;
        let mut section = writer.begin();
        while let Some((key, group)) = groups.next_group()? {
            writer.group(&mut section, key, group)?;
        }
        let changes = |run: &Arc<Run>| run.sections.get(view).map_or(0, |section: &Section| section.changes);
        section.changes = runs.iter().map(changes).sum();
        writer.end(section);
    }
    writer.finish()
}
