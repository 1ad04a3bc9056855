//! Builds a generation anew from offset zero, up to the end offsets seen at its start, and publishes it.

mod build;
mod log;
mod options;
mod progress;
mod read;
mod throttle;
mod write;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use event_log::Kafka;
use schemas::event_data::EventData;

use super::checkpoint::Checkpoint;
use super::projection::Projection;
use super::read_model::{ReadModel, ReadModelError};
use super::sources;
use build::Build;
pub use options::{KEEP_DEFAULT, MEMORY_BYTES_DEFAULT, ReplayError, ReplayOptions, ReplayReport};
pub use progress::{Phase, ReplayProgress};

/// Rebuilds from offset zero, or goes on with a rebuild that was begun before. `on_progress` is called a few times a
/// second; once `cancelled` is true, the replay ends.
///
/// # Errors
/// [`ReplayError`]; what has been built so far is kept, and the next replay goes on from there.
pub fn replay<E: EventData + 'static>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    options: &ReplayOptions,
    on_progress: impl FnMut(ReplayProgress),
    cancelled: &AtomicBool,
) -> Result<ReplayReport, ReplayError> {
    let began = Instant::now();
    let start = Checkpoint::zero(projection.topics.iter().map(|topic| (topic.name, options.partitions)));
    // First: while the log is not as it should be, nothing is written.
    let held = log::look(kafka, &projection, &start, options)?;
    let _lock = match options.into {
        Some(_) => None,
        None => Some(read_model.lock_for_replay(&options.holder)?),
    };
    let (name, path) = place(read_model, options)?;
    let build = Build::open(&name, &path, projection, &start, options, cancelled)?;
    let resumed = build.resumed;
    sources::check(&build.checkpoint(), &held, kafka.embedded)?;
    let (generation, duplicates) = build.run(kafka, &held, on_progress)?;
    let (checkpoint, digest) = generation.checkpoint_and_digest();
    let mut report = ReplayReport {
        generation: name,
        path,
        published: false,
        resumed,
        events: checkpoint.events(),
        duplicates,
        digest,
        checkpoint,
        bytes_on_disk: generation.bytes_on_disk()?,
        elapsed: began.elapsed(),
        retired: Vec::new(),
    };
    generation.finish()?;
    // Closed first, so that whoever sees the new name can open it.
    drop(generation);
    if options.publish && options.into.is_none() {
        read_model.publish(&report.generation)?;
        report.published = true;
        report.retired = read_model.retire(options.keep)?;
    }
    Ok(report)
}

/// Name and directory: of the build that an earlier replay has left, else of the next generation.
fn place(read_model: &ReadModel, options: &ReplayOptions) -> Result<(String, PathBuf), ReadModelError> {
    if let Some(path) = &options.into {
        return Ok((path.display().to_string(), path.clone()));
    }
    let name = match read_model.unfinished()?.pop() {
        Some(left) => left,
        None => read_model.next_name()?,
    };
    let path = read_model.path_of(&name);
    Ok((name, path))
}
