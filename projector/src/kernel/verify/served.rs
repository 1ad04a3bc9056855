//! The generation that is published, wherever it is open: here, or in the process that serves it.
//!
//! The process that serves a read model answers on a Unix socket in its directory (HTTP, JSON): who runs as
//! its user may ask. There it can be *held*: it projects no further for a bounded while, so that others can compare it
//! with what they have at the same place in the log; reads go on meanwhile.

mod admin;

use std::path::Path;
use std::sync::Arc;

use schemas::event_data::EventData;
use serde::{Deserialize, Serialize};

use super::ranges::{RangeDigests, RangeRows, StoredKey};
pub use admin::Client;

use crate::kernel::checkpoint::Checkpoint;
use crate::kernel::generation::{Generation, Moment};
use crate::kernel::layout::Layout;
use crate::kernel::projection::Projection;
use crate::kernel::quarantine::{self, EventName, ParkedKey, Quarantine, Released, SkippedEvent};
use crate::kernel::read_model::{ReadModel, ReadModelError};
use crate::kernel::stop::StopReason;
use crate::kernel::store::{GenerationError, StoreError};
use crate::kernel::view::FoldError;

/// A generation while it moves no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Name of the generation.
    pub generation: String,
    /// Its layout.
    pub layout: String,
    /// How far it has got.
    pub checkpoint: Checkpoint,
    /// Digest of its rows, as kept up to date with every commit.
    pub digest: String,
    /// Keys whose events wait.
    pub parked: Vec<ParkedKey>,
    /// Why it follows no further, if that is because one of its rows cannot be read.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// What waits in a generation, and what is left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineShown {
    /// Keys whose events wait.
    pub keys: Vec<ParkedKey>,
    /// Events that are left out for ever.
    pub skipped: Vec<SkippedEvent>,
}

impl QuarantineShown {
    /// That of one generation.
    #[must_use]
    pub fn of(quarantine: &Quarantine) -> Self {
        Self { keys: quarantine.keys().cloned().collect(), skipped: quarantine.skipped().to_vec() }
    }
}

/// Why the published generation cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The directory.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// It cannot be opened here.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process that has it does not answer.
    #[error("{holder} has the generation and does not answer at {}: {detail}", socket.display())]
    Silent {
        /// Who has it.
        holder: String,
        /// Where it was asked.
        socket: std::path::PathBuf,
        /// What was wrong.
        detail: String,
    },
}

/// The published generation.
pub enum Served {
    /// Nobody has it: it is open here.
    Here(String, Arc<Generation>),
    /// Another process, or another part of this one, has it.
    There(Client),
}

impl Served {
    /// As [`Served::find`]; if it is open here, what is to be left out of every generation is left out of it, too.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn find_repaired<E: EventData>(
        read_model: &ReadModel,
        projection: Projection<E>,
        holder: &str,
    ) -> Result<Option<Self>, HoldError> {
        let found = Self::find(read_model, &projection.layout(), holder)?;
        if let Some(Self::Here(_, generation)) = &found {
            quarantine::leave_out(generation, projection, read_model.skipped()?)?;
        }
        Ok(found)
    }

    /// Finds the published generation; `None` if there is none.
    ///
    /// # Errors
    /// [`HoldError`], among others for one of another layout.
    pub fn find(read_model: &ReadModel, layout: &Layout, holder: &str) -> Result<Option<Self>, HoldError> {
        let Some(name) = read_model.current()? else { return Ok(None) };
        match Generation::open(&read_model.path_of(&name), layout, holder) {
            Ok(generation) => Ok(Some(Self::Here(name, Arc::new(generation)))),
            Err(GenerationError::InUse { holder, .. }) => {
                Ok(Some(Self::There(Client::new(read_model.directory(), holder))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps it from moving, for at most a minute or until [`Served::release`], and says where it is.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn hold(&self) -> Result<Held, HoldError> {
        match self {
            Self::Here(name, generation) => Ok(Held::of(name, generation, String::new())),
            Self::There(client) => client.ask("/hold", &()),
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// [`HoldError`]; it then goes on by itself a little later.
    pub fn release(&self) -> Result<(), HoldError> {
        match self {
            Self::Here(..) => Ok(()),
            Self::There(client) => client.ask("/release", &()),
        }
    }

    /// What waits in it, and what is left out of it.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn quarantine(&self) -> Result<QuarantineShown, HoldError> {
        match self {
            Self::Here(_, generation) => Ok(QuarantineShown::of(&generation.quarantine())),
            Self::There(client) => client.ask("/quarantine", &()),
        }
    }

    /// A waiting event as it would be left out, if it waits.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn find_parked(
        &self,
        name: &EventName,
        why: &str,
        at: &str,
    ) -> Result<Option<SkippedEvent>, HoldError> {
        match self {
            Self::Here(_, generation) => Ok(generation.quarantine().find(name, why, at)),
            Self::There(client) => client.ask("/quarantine/find", &(name, why, at)),
        }
    }

    /// Projects all waiting events of a key, or none.
    ///
    /// # Errors
    /// [`HoldError`]; the inner error is a sentence that says why nothing was changed.
    pub fn release_key<E: EventData>(
        &self,
        projection: Projection<E>,
        key: &str,
    ) -> Result<Result<Released, String>, HoldError> {
        match self {
            Self::Here(_, generation) => {
                Ok(quarantine::release(generation, projection, key).map_err(|error| error.to_string()))
            }
            Self::There(client) => client.ask("/quarantine/release", &key),
        }
    }

    /// Leaves these events out from now on.
    ///
    /// # Errors
    /// As [`Served::release_key`].
    pub fn leave_out<E: EventData>(
        &self,
        projection: Projection<E>,
        skipped: Vec<SkippedEvent>,
    ) -> Result<Result<Released, String>, HoldError> {
        match self {
            Self::Here(_, generation) => {
                let left_out = quarantine::leave_out(generation, projection, skipped);
                Ok(left_out.map_err(|error| error.to_string()))
            }
            Self::There(client) => client.ask("/quarantine/leave-out", &skipped),
        }
    }

    /// Reads all its rows, and gives the digests of these ranges.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn digests(&self, borders: &[StoredKey]) -> Result<RangeDigests, HoldError> {
        match self {
            Self::Here(_, generation) => Ok(RangeDigests::within(generation, borders.to_vec())?),
            Self::There(client) => client.ask("/digests", &borders),
        }
    }

    /// The rows of one range.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn rows(&self, from: Option<&StoredKey>, to: Option<&StoredKey>) -> Result<RangeRows, HoldError> {
        match self {
            Self::Here(_, generation) => {
                Ok(RangeRows::read(generation, from.map(String::as_str), to.map(String::as_str))?)
            }
            Self::There(client) => client.ask("/rows", &(from, to)),
        }
    }
}

impl Held {
    /// Where a generation is.
    #[must_use]
    pub fn of(name: &str, generation: &Generation, layout: String) -> Self {
        let Moment { checkpoint, digest, quarantine } = Moment::clone(&generation.moment());
        let parked = quarantine.keys().cloned().collect();
        let (generation, checkpoint) = (name.to_owned(), Checkpoint::clone(&checkpoint));
        Self { generation, layout, checkpoint, digest: digest.to_string(), parked, unreadable: None }
    }
}

/// Says so if a projection stopped because a row cannot be read: not the log is wrong then, but the generation.
#[must_use]
pub fn unreadable_row(reason: &StopReason) -> Option<String> {
    match reason {
        StopReason::Store(error) if error.action == "read" => Some(error.to_string()),
        StopReason::Fold { error: FoldError::Read(error), .. } => Some(error.to_string()),
        _ => None,
    }
}

/// The socket's path as the system takes it: it allows no more than about a hundred bytes, so the directory is named by
/// the number of an open file.
///
/// # Errors
/// If the directory cannot be opened.
pub fn socket_path(directory: &Path) -> std::io::Result<(std::fs::File, std::path::PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let open = std::fs::File::open(directory)?;
    let path = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
    Ok((open, path.join(crate::kernel::read_model::ADMIN_SOCKET)))
}
