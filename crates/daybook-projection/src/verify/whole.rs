//! A whole generation verified: another one is built aside, and both are compared.

use std::path::PathBuf;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_service::Stop;
use daybook_store::files;
use serde::Serialize;
use uuid::Uuid;

use super::rounds::Comparing;
use super::sample::LeftOut;
use super::sample::{self, GivingWay};
use super::served::{Served, ServedError};
use crate::generation::Generation;
use crate::projection::Projection;
use crate::quarantine::{SkippedEvent, leave_out};
use crate::read_model::{ReadModel, VERIFY_DIRECTORY};
use crate::replay::{ReplayError, ReplayOptions, ReplayProgress, rebuild_aside};
use crate::stop::StopReason;
use crate::store::{GenerationError, StoreError};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub view: String,
    pub key: Uuid,
    pub part: Option<u32>,
    /// The published generation's bytes, as hexadecimal digits; none if it has no such row.
    pub served: Option<String>,
    /// The bytes that follow from the log; none if there should be no such row.
    pub rebuilt: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowName {
    pub view: String,
    pub key: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// None of them comes before this row; none if it is not known.
    pub after: Option<RowName>,
    /// They all come before this row; none if they may reach to the end.
    pub before: Option<RowName>,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    pub generation: String,
    pub events: u64,
    pub digest_kept: String,
    pub digest_rebuilt: String,
    /// Keys of which not the same events wait in quarantine.
    pub parked_differently: Vec<String>,
    pub differences: Vec<Difference>,
    pub unreadable: Vec<Unreadable>,
    /// There are more than were asked for.
    pub more: bool,
    /// What else may be wrong, if anything is: the published generation leaves out what is not named as left out any more.
    pub left_out_unnamed: Option<String>,
}

impl VerifyReport {
    /// Whether the published generation is what the log says.
    pub fn is_sound(&self) -> bool {
        self.differences.is_empty()
            && self.unreadable.is_empty()
            && self.digest_kept == self.digest_rebuilt
            && self.parked_differently.is_empty()
    }
}

impl VerifyReport {
    /// Whether all that can be read is what the log says: then a replay publishes without `--accept-difference`,
    /// once it has met what cannot be read.
    pub fn is_unreadable_only(&self) -> bool {
        !self.unreadable.is_empty() && Self { unreadable: Vec::new(), ..self.clone() }.is_sound()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Served(#[from] ServedError),
    #[error("no generation has been published; build one with `projector --replay`")]
    Nothing,
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(
        "what is served cannot be compared at one place: another generation took over, events were released, the process that serves it \
         was restarted, or the log is no longer the one that it reads, which it notices within a minute and says in /status. Verify \
         again then; if it stays so, restart the process that serves it"
    )]
    Moved,
    #[error(transparent)]
    Stopped(#[from] StopReason),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VerifyError {
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Replay(error) if error.is_in_use())
    }
}

/// Builds a generation aside up to where the served one is, and compares all rows, while that one is served. At most `limit`
/// differences are listed.
pub fn verify<E: EventData + 'static>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    options: &ReplayOptions,
    limit: usize,
    on_progress: impl FnMut(ReplayProgress),
    cancelled: &Stop,
) -> Result<VerifyReport, VerifyError> {
    let _lock = read_model.lock_for_replay(&options.holder).map_err(ReplayError::from)?;
    let layout = projection.layout();
    let verifying = Verifying { kafka, read_model, projection, options, limit, cancelled };
    // Not kept open meanwhile: a process may want to serve it.
    let goal = verifying.find()?.sample()?.checkpoint;
    let aside = Aside(read_model.path_of(VERIFY_DIRECTORY));
    aside.remove()?;
    let options = ReplayOptions {
        into: Some(aside.0.clone()),
        publish: false,
        goal: Some(goal.into()),
        skipped: read_model.skipped().map_err(ReplayError::from)?,
        ..options.clone()
    };
    rebuild_aside(kafka, projection, &options, on_progress, cancelled)?;
    let rebuilt = Generation::open(&aside.0, &layout, &options.holder)?;
    leave_out(&rebuilt, projection, options.skipped.clone())?;
    verifying.compare(&rebuilt, &options.skipped)
}

/// Where the other one is built; it goes whatever the outcome is.
struct Aside(PathBuf);

impl Aside {
    fn remove(&self) -> Result<(), StoreError> {
        files::remove(&self.0).map_err(|error| StoreError::new("remove", &self.0, error))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!("it takes room until the next verification: {error}");
        }
    }
}

struct Verifying<'v, E: 'static> {
    kafka: &'v Kafka,
    read_model: &'v ReadModel,
    projection: Projection<E>,
    options: &'v ReplayOptions,
    limit: usize,
    cancelled: &'v Stop,
}

impl<E: EventData> Verifying<'_, E> {
    fn find(&self) -> Result<Served, VerifyError> {
        let holder = &self.options.holder;
        let found = Served::find(self.read_model, self.projection, holder, self.cancelled)?;
        found.ok_or(VerifyError::Nothing)
    }

    /// Begins again, with the process that serves, once one means to.
    fn compare(&self, rebuilt: &Generation, named: &[SkippedEvent]) -> Result<VerifyReport, VerifyError> {
        for _ in 0..sample::TIMES_MAX {
            let served = self.find()?;
            let way = GivingWay::new(self.read_model, &served, self.cancelled);
            let (kafka, projection, limit) = (self.kafka, self.projection, self.limit);
            let stop: &dyn Fn() -> bool = &|| way.stops();
            let compared = Comparing { kafka, projection, served: &served, rebuilt, limit, stop }.report();
            if self.cancelled.requested() {
                let done = rebuilt.checkpoint().records();
                return Err(ReplayError::Cancelled { done, total: done }.into());
            }
            if !way.gave_way() {
                let mut report = compared?;
                report.left_out_unnamed =
                    (!report.is_sound()).then(|| LeftOut::of(&served).lost_note(named)).flatten();
                return Ok(report);
            }
            tracing::info!(
                "the read model is about to be served: it is let go, and compared where it is served"
            );
        }
        Err(VerifyError::Moved)
    }
}
