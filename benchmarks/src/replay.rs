//! Replay from offset zero, against a bare consumer that reads the same partitions and only counts.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use event_log::{Polled, Reader, Start};
use projector::kernel::{ReadModel, ReplayOptions, ReplayReport};
use tempfile::TempDir;

use crate::loader::{Loaded, PARTITIONS};
use crate::{Outcome, Scale, figures};

/// Longest silence of the broker before a run counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Measures both in turn.
pub(crate) fn measure(loaded: &Loaded, scale: &Scale) -> Outcome {
    let (mut bare, mut replays) = (Vec::new(), Vec::new());
    for run in 1..=scale.runs {
        bare.push(rate(loaded.events, || count(loaded))?);
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

fn rate(events: u64, work: impl FnOnce() -> Outcome) -> Outcome<f64> {
    let started = Instant::now();
    work()?;
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

fn count(loaded: &Loaded) -> Outcome {
    let start = |topic: &str, partition| Start { topic: topic.to_owned(), partition, offset: 0 };
    let starts: Vec<_> =
        schemas::shop::TOPICS.iter().flat_map(|topic| (0..PARTITIONS).map(|at| start(topic, at))).collect();
    let reader = Reader::open(&loaded.kafka, &starts)?;
    let mut left = loaded.events;
    let mut heard = Instant::now();
    while left > 0 {
        match reader.poll(Duration::from_secs(1))? {
            Polled::Record(_) => {
                left -= 1;
                heard = Instant::now();
            }
            _ if heard.elapsed() > SILENCE_MAX => return Err("the broker went silent".into()),
            _ => {}
        }
    }
    Ok(())
}

fn replay(loaded: &Loaded) -> Outcome {
    let directory = TempDir::with_prefix("daybook-replay-")?;
    let report = build(loaded, &ReadModel::open(directory.path())?)?;
    if report.events != loaded.events {
        return Err(format!("{} events were loaded, {} replayed", loaded.events, report.events).into());
    }
    Ok(())
}

/// Builds a read model of the loaded topics.
pub(crate) fn build(loaded: &Loaded, read_model: &ReadModel) -> Outcome<ReplayReport> {
    let options = ReplayOptions::new(PARTITIONS, "benchmarks".to_owned());
    let never = AtomicBool::new(false);
    let projection = projector::shop::projection();
    Ok(projector::kernel::replay(&loaded.kafka, read_model, projection, &options, |_| {}, &never)?)
}
