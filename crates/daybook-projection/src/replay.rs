//! Builds a generation from offset zero, up to the end offsets seen at its start, and publishes it.

mod begin;
mod build;
mod compare;
mod log;
mod options;
mod parked;
mod progress;
mod read;
mod work;
mod write;

use std::path::PathBuf;
use std::time::Instant;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_kafka::topics::Watermarks;
use daybook_service::Stop;

use super::checkpoint::Checkpoint;
use super::projection::Projection;
use super::read_model::{ReadModel, ReadModelError};
use build::Build;
pub use compare::Comparison;
pub use log::wait_for_a_broker;
use options::Built;
pub use options::{
    KEEP_DEFAULT, KEEP_MAX, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_RANGE, ReplayError, ReplayOptions,
    ReplayReport,
};
pub use progress::{Phase, ReplayProgress};
pub use work::lower_priority;

/// Rebuilds from offset zero, or resumes a rebuild that was begun before; compares the new generation with the one
/// that is served, and publishes it. `on_progress` is called a few times a second; once `cancelled` is true, the replay
/// ends.
/// Errors: [`ReplayError`]; what has been built so far is kept, and the next replay resumes there.
pub fn replay<E: EventData + 'static>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    options: &ReplayOptions,
    on_progress: impl FnMut(ReplayProgress),
    cancelled: &Stop,
) -> Result<ReplayReport, ReplayError> {
    if options.into.is_some() {
        return rebuild_aside(kafka, projection, options, on_progress, cancelled);
    }
    let began = Instant::now();
    // First: while the log is not as it should be, nothing is written.
    let log = log::inspect(kafka, &projection, options, cancelled)?;
    let _lock = read_model.lock_for_replay(&options.holder)?;
    let _control = Control(read_model);
    let destination = next_destination(read_model)?;
    let options = &ReplayOptions { skipped: read_model.skipped()?, ..options.clone() };
    let building = Building { kafka, projection, options, cancelled, log, control: Some(read_model) };
    let built = building.run(destination, on_progress)?;
    let compared = match options.publish {
        true => compare::compare(kafka, read_model, projection, &built.generation, options, cancelled)?,
        false => Comparison::Nothing,
    };
    // Closed first, so that a process that sees the new name can open it.
    let mut report = built.finish(&projection.layout(), compared, began)?;
    if options.publish {
        read_model.publish(&report.generation)?;
        report.published = true;
        withdraw_damaged(read_model, &report);
        // What is published is served; the next replay removes what this one has left.
        report.retired = read_model.retire(options.keep).unwrap_or_else(|error| {
            tracing::warn!(
                "{} is published, but not all generations that are no longer needed were removed: {error}. The next replay tries again",
                report.generation
            );
            Vec::new()
        });
    }
    Ok(report)
}

/// No rollback goes to what is known to be damaged, and what is whole is kept in its place.
fn withdraw_damaged(read_model: &ReadModel, report: &ReplayReport) {
    let Comparison::NotComparable { reason, damaged: Some(damaged) } = &report.compared else { return };
    // The new one is published all the same, and a process that opens the damaged one finds out again.
    if let Err(error) = read_model.withdraw(damaged, &report.generation, reason) {
        tracing::warn!("{damaged} is damaged, and a rollback may go to it: {error}");
    }
}

/// Rebuilds in the directory of [`ReplayOptions::into`], outside any read model; compares and publishes nothing.
pub fn rebuild_aside<E: EventData + 'static>(
    kafka: &Kafka,
    projection: Projection<E>,
    options: &ReplayOptions,
    on_progress: impl FnMut(ReplayProgress),
    cancelled: &Stop,
) -> Result<ReplayReport, ReplayError> {
    let began = Instant::now();
    let log = log::inspect(kafka, &projection, options, cancelled)?;
    let path = options.into.clone().unwrap_or_default();
    let destination = Destination { name: path.display().to_string(), path };
    let building = Building { kafka, projection, options, cancelled, log, control: None };
    building.run(destination, on_progress)?.finish(&projection.layout(), Comparison::Nothing, began)
}

struct Destination {
    name: String,
    path: PathBuf,
}

/// The build that an earlier replay has left, else the next generation.
fn next_destination(read_model: &ReadModel) -> Result<Destination, ReadModelError> {
    let name = match read_model.unfinished()?.pop() {
        Some(left) => left,
        None => read_model.next_name()?,
    };
    let path = read_model.path_of(&name);
    Ok(Destination { name, path })
}

/// Before the first event of all partitions.
fn zero<E>(projection: &Projection<E>, options: &ReplayOptions) -> Checkpoint {
    Checkpoint::zero(projection.topics.iter().map(|topic| (topic.name, options.partitions)))
}

struct Building<'r, E: 'static> {
    kafka: &'r Kafka,
    projection: Projection<E>,
    options: &'r ReplayOptions,
    cancelled: &'r Stop,
    log: Vec<Watermarks>,
    control: Option<&'r ReadModel>,
}

impl<E: EventData + 'static> Building<'_, E> {
    /// Resumes what is there, and starts again once if that is of no use.
    fn run(
        &self,
        destination: Destination,
        mut on_progress: impl FnMut(ReplayProgress),
    ) -> Result<Built, ReplayError> {
        let ends = log::ends(self.kafka, self.projection.topics, self.options.goal.as_deref(), &self.log)?;
        let start = zero(&self.projection, self.options);
        let Destination { name, path } = &destination;
        let (mut restart, mut resumed, mut was_damaged) = (false, false, false);
        loop {
            let (options, cancelled) = (self.options, self.cancelled);
            let build = Build::open(name, path, self.projection, &start, options, cancelled, restart)?;
            // What was read whole needs nothing of the log any more.
            if !build.is_read()
                && log::has_moved(self.kafka, self.projection.topics, &build.checkpoint(), &self.log)?
            {
                tracing::warn!(
                    "the log has its events at other offsets than when {name} was begun: it is built again from the start"
                );
                restart = true;
                continue;
            }
            resumed |= build.resumed;
            let build = match self.control {
                Some(read_model) => build.controlled_by(read_model),
                None => build,
            };
            match build.run(self.kafka, &ends, &mut on_progress) {
                Ok((generation, duplicates)) => {
                    return Ok(Built { destination, generation, resumed, duplicates });
                }
                // Once: what is damaged again is not a matter of chance.
                Err(ReplayError::Store(error)) if error.is_damage() && !was_damaged => {
                    tracing::warn!("{name} is built again from the start: {error}");
                    (was_damaged, resumed, restart) = (true, false, true);
                }
                Err(error) => return Err(log::name_event(self.kafka, error)),
            }
        }
    }
}

/// What a replay has published for other processes, and what they asked of it, goes with it.
struct Control<'r>(&'r ReadModel);

impl Drop for Control<'_> {
    fn drop(&mut self) {
        self.0.clear_control();
    }
}
