//! The generation that is published, wherever it is open: here, or in the process that serves it.
//!
//! The process that serves a read model answers on a Unix socket in its directory (HTTP, JSON): who runs as its user may ask.
//! A process that wants the generation asks there first, and opens it only if nobody serves it or is about to.

mod admin;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use daybook_event::event_data::EventData;
use daybook_service::Stop;
use daybook_store::DirectoryLock;
use serde::{Deserialize, Serialize};

use super::ranges::{Range, RangeDigest};
use super::sample::{RowsAt, Sample, Serves};
pub use admin::Client;

use crate::checkpoint::Checkpoint;
use crate::generation::{Generation, layout_of};
use crate::projection::Layout;
use crate::projection::Projection;
use crate::quarantine::{self, EventName, ParkedKey, Quarantine, Released, SkippedEvent};
use crate::read_model::{ReadModel, ReadModelError, SERVING_LOCK};
use crate::store::{GenerationError, StoreError};

/// How long a process may take to open what is published before it counts as silent.
const OPENING_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may say why it cannot open it, or that it is stopped: most of what passes has passed by then, and it tries ever more
/// seldom.
const TROUBLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one that answers nothing may have the generation: a process that checks it has it for a moment.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what is served may take to get as far as another generation; it follows the log, so it is soon there.
const COVER_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineShown {
    pub keys: Vec<ParkedKey>,
    pub skipped: Vec<SkippedEvent>,
}

impl QuarantineShown {
    pub fn of(quarantine: &Quarantine) -> Self {
        Self { keys: quarantine.keys().cloned().collect(), skipped: quarantine.skipped().to_vec() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{holder} has the generation and does not serve it at {}: {detail}", socket.display())]
    Silent { holder: String, socket: std::path::PathBuf, detail: String },
}

impl ServedError {
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Generation(error) => error.is_damage(),
            Self::Store(error) => error.is_damage(),
            Self::ReadModel(_) | Self::Silent { .. } => false,
        }
    }

    /// Whether no process can read it, now or later, as this program reads: it is gone, or as [`GenerationError::is_lasting`] says.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::ReadModel(error) => error.is_gone(),
            Self::Generation(error) => error.is_lasting(),
            Self::Store(_) | Self::Silent { .. } => self.is_damage(),
        }
    }
}

pub enum Served {
    /// Nobody has it: it is open here.
    Local {
        name: String,
        layout: String,
        generation: Arc<Generation>,
    },
    Remote(Client),
}

/// Why it cannot be read yet: which process has it, why that answers nothing, and how long that may last.
struct NotYet {
    holder: String,
    detail: String,
    timeout: Duration,
}

impl Served {
    /// Finds what is served, else what is published; `None` if nothing is. Waits while a process is opening it. If it is open here, what
    /// is left out of every generation is left out of it, too.
    /// Errors: [`ServedError`], among others for one of another layout.
    pub fn find<E: EventData>(
        read_model: &ReadModel,
        projection: Projection<E>,
        holder: &str,
        cancelled: &Stop,
    ) -> Result<Option<Self>, ServedError> {
        let (layout, began) = (projection.layout(), Instant::now());
        loop {
            let Some(name) = read_model.current()? else { return Ok(None) };
            let found = match Self::try_find(read_model, name, &layout, holder)? {
                Ok(found) => found,
                Err(NotYet { holder, detail, timeout }) => {
                    if began.elapsed() > timeout || cancelled.requested() {
                        return Err(Client::new(read_model.directory(), holder).silent(detail));
                    }
                    thread::sleep(POLL_INTERVAL);
                    continue;
                }
            };
            if let Self::Local { generation, .. } = &found {
                quarantine::leave_out(generation, projection, read_model.skipped()?)?;
            }
            return Ok(Some(found));
        }
    }

    fn try_find(
        read_model: &ReadModel,
        name: String,
        layout: &Layout,
        holder: &str,
    ) -> Result<Result<Self, NotYet>, ServedError> {
        let (path, layout_text) = (read_model.path_of(&name), layout.to_string());
        let server = DirectoryLock::holder(read_model.directory(), SERVING_LOCK);
        let client = Client::new(read_model.directory(), server.clone());
        let serves = client.serves();
        // What is published in another layout is not ours, whichever process serves it.
        if layout_of(&path).is_none_or(|found| found == layout_text) {
            match &serves {
                Ok(Serves { sample: Some(sample), .. }) if sample.layout == layout_text => {
                    return Ok(Ok(Self::Remote(client)));
                }
                Ok(Serves { opens: true, trouble: Some(why), .. }) => {
                    let detail = format!("it cannot open it yet, and tries again: {why}");
                    return Ok(Err(NotYet { holder: server, detail, timeout: TROUBLE_TIMEOUT }));
                }
                Ok(Serves { opens: true, .. }) => {
                    let detail = "it is still opening it".to_owned();
                    return Ok(Err(NotYet { holder: server, detail, timeout: OPENING_TIMEOUT }));
                }
                _ => {}
            }
        }
        match Generation::open(&path, layout, holder) {
            Ok(generation) => {
                Ok(Ok(Self::Local { name, layout: layout_text, generation: Arc::new(generation) }))
            }
            Err(GenerationError::InUse { holder, .. }) => {
                let detail = match serves {
                    Ok(_) => "it is not what is served there".to_owned(),
                    Err(error) => error.to_string(),
                };
                Ok(Err(NotYet { holder, detail, timeout: UNANSWERED_TIMEOUT }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Its state as of one commit; it is followed meanwhile.
    pub fn sample(&self) -> Result<Sample, ServedError> {
        match self {
            Self::Local { name, layout, generation } => {
                Ok(Sample::of(name, layout, &generation.last_moment()))
            }
            Self::Remote(client) => {
                let serves = client.serves().map_err(|error| client.silent(error.to_string()))?;
                serves.sample.ok_or_else(|| client.silent("it serves nothing at present".to_owned()))
            }
        }
    }

    /// Its state once it has got as far as `other`; or what it is if it does not get there: because it follows no further, or in
    /// time. A process that serves nothing for a moment, or is started again, is waited for.
    pub(crate) fn sample_covering(
        &self,
        other: &Checkpoint,
        stop: &dyn Fn() -> bool,
    ) -> Result<Sample, ServedError> {
        let (began, mut moved_at) = (Instant::now(), Instant::now());
        loop {
            let sample = self.sample();
            let is_stopped = sample.as_ref().is_ok_and(|sample| sample.stopped.is_some());
            moved_at = if is_stopped { moved_at } else { Instant::now() };
            let may_move = match (self, &sample) {
                (Self::Local { .. }, _) => false,
                (Self::Remote(_), Ok(sample)) => {
                    sample.unreadable.is_none() && !sample.checkpoint.covers(other)
                }
                (Self::Remote(_), Err(_)) => true,
            };
            let is_late = began.elapsed() > COVER_TIMEOUT || moved_at.elapsed() > TROUBLE_TIMEOUT;
            if !may_move || stop() || is_late {
                return sample;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub fn quarantine(&self) -> Result<QuarantineShown, ServedError> {
        match self {
            Self::Local { generation, .. } => Ok(QuarantineShown::of(&generation.quarantine())),
            Self::Remote(client) => client.ask_at_once("/quarantine"),
        }
    }

    /// A waiting event as it would be left out, if it waits.
    pub fn find_parked(
        &self,
        name: &EventName,
        why: &str,
        at: &str,
    ) -> Result<Option<SkippedEvent>, ServedError> {
        match self {
            Self::Local { generation, .. } => Ok(generation.quarantine().find(name, why, at)),
            Self::Remote(client) => client.ask("/quarantine/find", &(name, why, at)),
        }
    }

    /// Projects all waiting events of a key, or none.
    /// Errors: [`ServedError`]; the inner error is a sentence that says why nothing was changed.
    pub fn release_key<E: EventData>(
        &self,
        projection: Projection<E>,
        key: &str,
    ) -> Result<Result<Released, String>, ServedError> {
        match self {
            Self::Local { generation, .. } => {
                Ok(quarantine::release(generation, projection, key).map_err(|error| error.to_string()))
            }
            Self::Remote(client) => client.ask("/quarantine/release", &key),
        }
    }

    pub fn leave_out<E: EventData>(
        &self,
        projection: Projection<E>,
        skipped: Vec<SkippedEvent>,
    ) -> Result<Result<Released, String>, ServedError> {
        match self {
            Self::Local { generation, .. } => {
                let left_out = quarantine::leave_out(generation, projection, skipped);
                Ok(left_out.map_err(|error| error.to_string()))
            }
            Self::Remote(client) => client.ask("/quarantine/leave-out", &skipped),
        }
    }

    /// Reads the rows of the first of these ranges, as many as one answer takes. Whatever is committed meanwhile may be in them.
    /// Once `stop` says so, what it returns is not to be used.
    pub fn digests(
        &self,
        ranges: &[Range],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<RangeDigest>, ServedError> {
        match self {
            Self::Local { generation, .. } => Ok(RangeDigest::of_all(generation, ranges, stop)?),
            Self::Remote(client) => client.ask("/digests", &ranges),
        }
    }

    /// The first rows of one range, at most `limit`, and the commit that they are as of; `None` if so many cannot be read between
    /// two commits.
    pub fn rows(&self, range: &Range, limit: usize) -> Result<Option<RowsAt>, ServedError> {
        match self {
            Self::Local { name, layout, generation } => {
                Ok(RowsAt::read((name, layout), generation, range, limit)?)
            }
            Self::Remote(client) => client.ask("/rows", &(range, limit)),
        }
    }
}

/// The socket's path as the system takes it: it allows no more than about a hundred bytes, so the directory is named by
/// the number of an open file.
pub fn socket_path(directory: &Path) -> std::io::Result<(std::fs::File, std::path::PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let open = std::fs::File::open(directory)?;
    let path = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
    Ok((open, path.join(crate::read_model::ADMIN_SOCKET)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::StopReason;
    use crate::store::Failure;

    #[test]
    fn only_what_is_damaged_says_nothing_about_what_was_built() {
        let failed = |failure| StoreError::of(failure, "read", Path::new("gen-000001"), "a reason");
        for (failure, lasts) in [(Failure::Damage, true), (Failure::Other, false), (Failure::Write, false)] {
            let error = failed(failure);
            assert_eq!(StopReason::Store(error.clone()).damage().is_some(), lasts, "{failure:?}");
            assert_eq!(ServedError::from(error.clone()).is_lasting(), lasts, "{failure:?}");
            assert_eq!(ServedError::from(GenerationError::from(error)).is_lasting(), lasts, "{failure:?}");
        }
    }
}
