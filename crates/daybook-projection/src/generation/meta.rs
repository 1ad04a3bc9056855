//! What a generation notes about itself: layout, checkpoint, digest.

use std::path::Path;

use daybook_store::{Batch, Database, Digest};

use crate::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use crate::codec::RowError;
use crate::keys;
use crate::layout::Layout;
use crate::store::{GenerationError, StoreError};

pub(super) fn check_layout(path: &Path, rows: &Database, layout: &Layout) -> Result<(), GenerationError> {
    let Some(found) = rows.get(keys::LAYOUT)? else {
        return Err(StoreError::damaged("open", path, "its rows do not say their layout").into());
    };
    match String::from_utf8_lossy(&found) {
        found if found == layout.to_string() => Ok(()),
        found => Err(foreign_layout(path, found.into_owned(), layout)),
    }
}

pub(super) fn foreign_layout(path: &Path, found: String, layout: &Layout) -> GenerationError {
    GenerationError::ForeignLayout { path: path.to_owned(), found, expected: layout.to_string() }
}

pub(super) fn checkpoint(path: &Path, rows: &Database) -> Result<Checkpoint, GenerationError> {
    let mut sources = Vec::new();
    for entry in rows.range(keys::SOURCES.to_vec()..keys::scan_start(1, None)) {
        let (key, value) = entry?;
        let decoded = keys::decode_source(&key)
            .and_then(|source| SourceCheckpoint::decode(&value).map(|at| (source, at)))
            .map_err(damaged(path))?;
        sources.push(decoded);
    }
    Ok(Checkpoint::from_sources(sources))
}

pub(super) fn digest(path: &Path, rows: &Database) -> Result<Digest, GenerationError> {
    let bytes = rows.get(keys::DIGEST)?;
    let bytes = bytes.as_deref().and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok());
    bytes.map(Digest::from_bytes).ok_or_else(|| damaged(path)(RowError::CutOff { field: "digest" }))
}

pub(super) fn put_digest(batch: &mut Batch, digest: Digest) {
    batch.put(keys::DIGEST, &digest.to_bytes());
}

pub(super) fn put_source(batch: &mut Batch, source: &SourceId, at: &SourceCheckpoint) {
    batch.put(&keys::source(source), &at.encode());
}

fn damaged(path: &Path) -> impl FnOnce(RowError) -> GenerationError {
    move |source| GenerationError::Checkpoint { path: path.to_owned(), source }
}
