//! What a generation is as of one commit: all that it takes to compare another one with it, which follows to that very place.
//! Nobody has to stand still for it.

use serde::{Deserialize, Serialize};

use super::ranges::{Range, RangeRows};
use crate::checkpoint::Checkpoint;
use crate::generation::{Generation, Moment};
use crate::quarantine::ParkedKey;
use crate::store::StoreError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub generation: String,
    pub layout: String,
    pub checkpoint: Checkpoint,
    /// Digest of its rows, as kept up to date with every commit.
    pub digest: String,
    /// Keys whose events wait, but for records that lie behind the checkpoint because their position is not known yet.
    pub parked: Vec<ParkedKey>,
    /// Why it follows no further, if that is because one of its rows cannot be read.
    #[serde(default)]
    pub unreadable: Option<String>,
    /// Why it follows no further at present, if it is stopped.
    #[serde(default)]
    pub stopped: Option<String>,
}

impl Sample {
    /// The generation `name` at a moment.
    pub fn of(name: &str, layout: &str, moment: &Moment) -> Self {
        Self {
            generation: name.to_owned(),
            layout: layout.to_owned(),
            checkpoint: Checkpoint::clone(&moment.checkpoint),
            digest: moment.digest.to_string(),
            parked: moment.quarantine.keys().cloned().collect(),
            unreadable: None,
            stopped: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// What it serves; none if there is nothing that it could serve at present.
    pub sample: Option<Sample>,
    /// It serves nothing, and is about to open what is published: whoever has that had better let it go.
    pub opens: bool,
    /// Why it has not opened it yet, if it has tried; it goes on trying.
    #[serde(default)]
    pub trouble: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsAt {
    pub sample: Sample,
    pub rows: RangeRows,
}

impl RowsAt {
    /// Reads the first rows of a range, at most `limit`; `None` if something was committed each time that it was tried: fewer
    /// rows may be read between two commits.
    pub fn read(
        (name, layout): (&str, &str),
        generation: &Generation,
        range: &Range,
        limit: usize,
    ) -> Result<Option<Self>, StoreError> {
        let read = generation.at_one_moment(|| RangeRows::read(generation, range, limit));
        let Some((moment, rows)) = read else { return Ok(None) };
        Ok(Some(Self { sample: Sample::of(name, layout, &moment), rows: rows? }))
    }
}
