//! Replay from offset zero, against a bare consumer that reads the same partitions and only counts.

use std::time::Instant;

use daybook_projection::{ReadModel, ReplayOptions, ReplayReport};
use daybook_service::Stop;
use tempfile::TempDir;

use crate::consume;
use crate::loader::{Loaded, PARTITIONS};
use crate::{Outcome, Scale, figures};

/// Measures both in turn.
pub(crate) fn measure(loaded: &Loaded, scale: &Scale) -> Outcome {
    let (mut bare, mut replays) = (Vec::new(), Vec::new());
    for run in 1..=scale.runs {
        bare.push(rate(loaded.events, || consume::count(&loaded.kafka, 1))?);
        replays.push(rate(loaded.events, || replay(loaded))?);
        eprintln!("replay: run {run} of {}", scale.runs);
    }
    figures::compare(
        "replay from offset zero",
        "events/s",
        ("projector --replay", replays),
        ("a bare consumer that only counts", bare),
    );
    Ok(())
}

fn rate(events: u64, work: impl FnOnce() -> Outcome<u64>) -> Outcome<f64> {
    let started = Instant::now();
    match work()? {
        read if read == events => Ok(events as f64 / started.elapsed().as_secs_f64()),
        read => Err(format!("{events} events were loaded, {read} read").into()),
    }
}

fn replay(loaded: &Loaded) -> Outcome<u64> {
    let directory = TempDir::with_prefix("daybook-replay-")?;
    Ok(build(loaded, &ReadModel::open(directory.path())?)?.events)
}

/// Builds a read model of the loaded topics.
pub(crate) fn build(loaded: &Loaded, read_model: &ReadModel) -> Outcome<ReplayReport> {
    let options = ReplayOptions::new(PARTITIONS, "benchmarks".to_owned());
    let never = Stop::default();
    let projection = projector::projection();
    Ok(daybook_projection::replay(&loaded.kafka, read_model, projection, &options, |_| {}, &never)?)
}
