//! What a generation was when it was finished, in a file beside its rows: `FINISHED`.
//!
//! A store that lost its end to a bad sector opens as an older one without a word, and says of itself what it was then. Of one
//! that was just built that is "before the first event", with blocks of rows that are there all the same: each event would count
//! twice. So what it was lies beside it as well, and a generation opens as it was finished or later, or not at all.
//!
//! What was followed since has no such note. A bit that has flipped in the middle of sled's log takes the rest of a segment with it,
//! and sled continues behind that: checkpoint and digest are the newest then, and rows are not. So a process that serves or compares what
//! has been followed into adds up the digest of all rows first ([`Generation::check_rows`]).

use std::io;
use std::path::Path;
use std::time::Instant;

use daybook_service::fires;
use daybook_store::files;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::generation::{Generation, Moment};
use crate::quarantine::{Quarantine, SkippedEvent};
use crate::store::StoreError;

pub(super) const FINISHED_FILE: &str = "FINISHED";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Finished {
    checkpoint: Checkpoint,
    digest: String,
    /// Whole events that waited; whatever leaves changes rows without a new position.
    parked: u64,
    /// Changes of rows that waited. One that leaves changes its row; they become more by whole events that leave.
    #[serde(default)]
    parked_changes: u64,
    /// Why it was published although it says something else than the one before.
    accepted: Option<String>,
}

impl Finished {
    fn of(moment: &Moment, accepted: Option<&str>) -> Self {
        Self {
            checkpoint: Checkpoint::clone(&moment.checkpoint),
            digest: moment.digest.to_string(),
            parked: parked(moment, false),
            parked_changes: parked(moment, true),
            accepted: accepted.map(str::to_owned),
        }
    }

    fn read(path: &Path) -> Result<Self, StoreError> {
        let path = path.join(FINISHED_FILE);
        let text = files::read_if_there(&path).map_err(|error| StoreError::new("open", &path, error))?;
        let text = text.ok_or_else(|| StoreError::damaged("open", &path, "the file is not there"))?;
        let damaged = || StoreError::damaged("open", &path, "the file is not what was written");
        let json = files::without_sum(&text).ok_or_else(damaged)?;
        serde_json::from_slice(json).map_err(|error| StoreError::damaged("open", &path, error))
    }

    fn write(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.join(FINISHED_FILE);
        let text = serde_json::to_string(self).map_err(|error| StoreError::new("finish", &path, error))?;
        files::replace(&path, files::with_sum(&text)).map_err(|error| StoreError::new("finish", &path, error))
    }

    /// Whether a store that says `moment` of itself can have come of it; else what is wrong.
    fn check(&self, moment: &Moment) -> Result<(), String> {
        let (now, then) = (&moment.checkpoint, &self.checkpoint);
        if !now.covers(then) {
            return Err(format!("it holds {} events, and was finished with {}", now.events(), then.events()));
        }
        let parked = (parked(moment, false), parked(moment, true));
        // In this order: a whole event that leaves may leave changes behind.
        if !then.covers(now) || parked < (self.parked, self.parked_changes) {
            return Ok(());
        }
        let (events, changes) = parked;
        match (moment.digest.to_string() == self.digest, parked == (self.parked, self.parked_changes)) {
            (true, true) => Ok(()),
            (_, false) => Err(format!(
                "{events} events and {changes} changes wait in it, and {} and {} when it was finished",
                self.parked, self.parked_changes
            )),
            (false, _) => Err(format!(
                "its rows have digest {}, and {} when it was finished",
                moment.digest, self.digest
            )),
        }
    }
}

/// How many whole events wait, or how many changes of rows.
fn parked(moment: &Moment, changes: bool) -> u64 {
    moment.quarantine.keys().filter(|key| key.view.is_some() == changes).map(|key| key.waiting).sum()
}

pub(super) fn is_noted(path: &Path) -> bool {
    path.join(FINISHED_FILE).exists()
}

/// Refuses a generation whose store is not what was finished.
pub(super) fn check(path: &Path, moment: &Moment) -> Result<(), StoreError> {
    match Finished::read(path)?.check(moment) {
        Err(why) if !fires("trust-generation") => Err(StoreError::damaged("open", path, why)),
        _ => Ok(()),
    }
}

impl Generation {
    /// Notes what it is. Everything that it holds must be durable.
    pub(super) fn note_finished(&self, accepted: Option<&str>) -> Result<(), StoreError> {
        Finished::of(&self.moment(), accepted).write(self.path())
    }

    /// Refuses rows that are others than those of which it has the digest, as its opening may have left them: reads all of them, if
    /// anything has changed since it was finished. A row that cannot be read is reported when it is read. Nothing may be committed meanwhile.
    /// Errors: [`StoreError`]: damage, if the rows are others.
    pub fn check_rows(&self) -> Result<(), StoreError> {
        let (finished, moment, began) = (Finished::read(self.path())?, self.last_moment(), Instant::now());
        let is_as_finished = finished.checkpoint.covers(&moment.checkpoint);
        if is_as_finished && moment.digest.to_string() == finished.digest {
            return Ok(());
        }
        let found = match self.recount_digest() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("its rows were not all checked: {error}");
                return Ok(());
            }
        };
        tracing::debug!(took_ms = began.elapsed().as_millis(), "its rows were checked");
        let digest = self.digest();
        if found == digest || fires("trust-generation") {
            return Ok(());
        }
        let why = format!("its rows have digest {found}, and had {digest} when they were projected");
        Err(StoreError::damaged("open", self.path(), why))
    }

    /// Why it was published although it said something else than the one that was served.
    pub fn accepted(&self) -> Result<Option<String>, StoreError> {
        Ok(Finished::read(self.path())?.accepted)
    }
}

pub(super) const SKIPPED_FILE: &str = "SKIPPED";

/// Takes up what was noted of a generation.
pub(super) fn take_up(path: &Path, quarantine: &mut Quarantine) {
    quarantine.leave_out(read(&path.join(SKIPPED_FILE)));
}

/// A note that is damaged says nothing, and keeps no generation from being opened.
fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let noted = match files::read_if_there(path) {
        Ok(Some(text)) => files::without_sum(&text).and_then(|json| serde_json::from_slice(json).ok()),
        Ok(None) => return Vec::new(),
        Err(_) => None,
    };
    noted.unwrap_or_else(|| {
        tracing::warn!("{} cannot be read; what it says is not reported", path.display());
        Vec::new()
    })
}

/// The next note tries again.
fn write<T: Serialize>(path: &Path, noted: &[T]) {
    let text = serde_json::to_string(noted).map_err(io::Error::from);
    if let Err(error) = text.and_then(|text| files::replace(path, files::with_sum(&text))) {
        tracing::warn!(
            "{} cannot be written; what it should say is not reported after a restart: {error}",
            path.display()
        );
    }
}

impl Generation {
    /// From now on these events are left out when they come, and those that it leaves out already.
    /// Errors: [`StoreError`] if the store took a part of a batch only.
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
    use std::sync::Arc;

    use daybook_store::{Digest, RowHash};
    use uuid::Uuid;

    use super::*;
    use crate::checkpoint::{SourceCheckpoint, SourceId};
    use crate::quarantine::{ParkedRecord, ViewChange};

    fn moment(events: u64, rows: u8) -> Moment {
        let source = SourceId { topic: "toys".into(), partition: 0 };
        let at = SourceCheckpoint {
            next_position: events,
            last_id: (events > 0).then_some(Uuid::from_u128(1)),
            ..SourceCheckpoint::default()
        };
        let mut digest = Digest::default();
        (0..rows).for_each(|row| digest.add(RowHash::of(&[row], b"a row")));
        Moment { checkpoint: Arc::new(Checkpoint::from_sources([(source, at)])), digest, ..Moment::default() }
    }

    fn waiting_for_a_view() -> Quarantine {
        let source = SourceId { topic: "toys".into(), partition: 0 };
        let (row, time_us) = (Uuid::from_u128(2), 1);
        let change = ParkedRecord {
            id: ViewChange::id(&source, 1, time_us),
            source,
            key: row.to_string(),
            position: 1,
            offset: 1,
            has_event_id: false,
            change: Some(ViewChange { view: 2, row, time_us }),
            value: Some(Vec::new()),
            headers: Vec::new(),
            reason: Some("it contradicts its row".to_owned()),
        };
        let mut quarantine = Quarantine::default();
        quarantine.add(&[change]);
        quarantine
    }

    #[test]
    fn it_opens_as_it_was_finished_or_later() {
        let finished = Finished::of(&moment(3, 2), None);
        assert_eq!(finished.check(&moment(3, 2)), Ok(()));
        assert_eq!(finished.check(&moment(4, 1)), Ok(()), "it was followed");
        let lost = finished.check(&moment(0, 0)).unwrap_err();
        assert_eq!(lost, "it holds 0 events, and was finished with 3");
        let changed = finished.check(&moment(3, 1)).unwrap_err();
        assert!(changed.contains("when it was finished"), "{changed}");
        let released = Finished { parked: 1, ..finished.clone() };
        assert_eq!(released.check(&moment(3, 1)), Ok(()), "what waited has left, and changed rows");
        let tried_again = Finished { parked_changes: 1, ..finished.clone() };
        assert_eq!(tried_again.check(&moment(3, 1)), Ok(()), "a change that waited was folded");
        let mut contradicting = moment(3, 1);
        contradicting.quarantine = Arc::new(waiting_for_a_view());
        assert_eq!(released.check(&contradicting), Ok(()), "it left, and contradicts one view");
        assert!(finished.check(&contradicting).unwrap_err().contains("0 events and 1 changes wait"));
    }

    #[test]
    fn a_note_that_is_gone_or_was_changed_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check(directory.path(), &moment(3, 2)).unwrap_err().is_damage());
        Finished::of(&moment(3, 2), None).write(directory.path()).unwrap();
        check(directory.path(), &moment(3, 2)).unwrap();
        let path = directory.path().join(FINISHED_FILE);
        let text = std::fs::read(&path).unwrap();
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, changed).unwrap();
            assert!(check(directory.path(), &moment(3, 2)).unwrap_err().is_damage(), "bit {bit}");
        }
    }
}

#[cfg(test)]
mod notes_tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_or_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SKIPPED_FILE);
        assert_eq!(read::<String>(&path), [""; 0]);
        let noted = ["a".to_owned(), "b".to_owned()];
        write(&path, &noted);
        assert_eq!(read::<String>(&path), noted);
        let text = std::fs::read(&path).unwrap();
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, changed).unwrap();
            assert_eq!(read::<String>(&path), [""; 0], "bit {bit}");
        }
    }
}
