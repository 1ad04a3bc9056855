//! What stands above the table: everything that is needed to repeat it.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;

use super::RebuildFlags;
use crate::Scale;
use crate::broker::Broker;
use crate::figures::grouped;
use crate::table::mib;

/// The heading: versions, machine, date, scale, command line.
pub(super) fn heading(broker: &Broker, scale: &Scale, flags: &RebuildFlags) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kafka = broker.version().map_or_else(
        || format!("Kafka {} (version not known)", broker.name()),
        |version| format!("Apache Kafka {version} on the same machine"),
    );
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    format!(
        "daybook {}{}, rdkafka {} (librdkafka {}), {kafka}\n\
         {cores} cores, load average {} before, {}; seed {}, {} events, budget {}, medians of {} runs, reads measured for {} s each\n\
         cargo run --release -p benchmarks -- {}\n",
        env!("CARGO_PKG_VERSION"),
        revision().map_or_else(String::new, |revision| format!(" ({revision})")),
        locked("rdkafka").unwrap_or("?"),
        // rdkafka-sys is numbered 4.10.0+2.12.1: its own version, then librdkafka's.
        locked("rdkafka-sys").and_then(|version| version.split_once('+')).map_or("?", |(_, bundled)| bundled),
        load_average().unwrap_or_else(|| "not known".to_owned()),
        format_args!("{:.0}", Timestamp::now()),
        scale.seed,
        grouped(scale.events),
        mib(Some(flags.memory as u64)),
        scale.runs,
        scale.seconds,
        arguments.join(" "),
    )
}

/// How busy the machine is: the mean number of runnable tasks over a minute.
fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next().map(str::to_owned)
}

/// Version of a crate that this program was built with.
fn locked(package: &str) -> Option<&'static str> {
    let name = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = include_str!("../../../Cargo.lock").split_once(&name)?;
    rest.split_once('"').map(|(version, _)| version)
}

/// The commit that the sources are at, if git knows.
fn revision() -> Option<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["describe", "--always", "--dirty"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_crates_are_found() {
        assert!(locked("rdkafka").is_some());
        assert!(locked("rdkafka-sys").is_some_and(|version| version.contains('+')));
        assert_eq!(locked("no-such-crate"), None);
    }
}
