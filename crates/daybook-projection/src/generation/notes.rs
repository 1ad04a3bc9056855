//! Notes beside the rows, so that it is told what they say. No row depends on them.
//!
//! `SKIPPED`: the events that a generation leaves out. The file of the same name beside all generations says what is to be left
//! out of each ([`crate::read_model`]); this one says what is missing here, also when that one is lost.

use std::fs;
use std::io;
use std::path::Path;

use daybook_store::files;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Generation;
use crate::quarantine::{Quarantine, SkippedEvent};
use crate::store::StoreError;

pub(super) const SKIPPED_FILE: &str = "SKIPPED";

/// Takes up what was noted of a generation.
pub(super) fn take_up(path: &Path, quarantine: &mut Quarantine) {
    quarantine.leave_out(read(&path.join(SKIPPED_FILE)));
}

/// A note that is damaged says nothing, and keeps no generation from being opened.
fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let noted = match fs::read(path) {
        Ok(text) => files::without_sum(&text).and_then(|json| serde_json::from_slice(json).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(_) => None,
    };
    noted.unwrap_or_else(|| {
        tracing::warn!("{} cannot be read; what it says is not told", path.display());
        Vec::new()
    })
}

/// Whoever notes something else later tries again.
fn write<T: Serialize>(path: &Path, noted: &[T]) {
    let text = serde_json::to_string(noted).map_err(io::Error::from);
    if let Err(error) = text.and_then(|text| files::replace(path, &files::with_sum(&text))) {
        tracing::warn!(
            "{} cannot be written; what it should say is not told after a restart: {error}",
            path.display()
        );
    }
}

impl Generation {
    /// From now on these events are left out when they come, and those that it leaves out already.
    ///
    /// # Errors
    /// [`StoreError`] if the store took a part of a batch only.
    pub(crate) fn set_skipped(&self, skipped: Vec<SkippedEvent>) -> Result<(), StoreError> {
        let before = self.quarantine();
        self.show_quarantine(|quarantine| quarantine.leave_out(skipped))?;
        let now = self.quarantine();
        if before.skipped() != now.skipped() {
            write(&self.path.join(SKIPPED_FILE), now.skipped());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_or_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SKIPPED_FILE);
        assert_eq!(read::<String>(&path), [""; 0]);
        let noted = ["a".to_owned(), "b".to_owned()];
        write(&path, &noted);
        assert_eq!(read::<String>(&path), noted);
        let text = fs::read(&path).unwrap();
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, changed).unwrap();
            assert_eq!(read::<String>(&path), [""; 0], "bit {bit}");
        }
    }
}
