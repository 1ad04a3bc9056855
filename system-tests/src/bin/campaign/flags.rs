//! The command line, as it is written.

use std::path::PathBuf;
use std::time::Duration;

use crate::{sabotage, spoil};

/// Drive services A, B, C and D against a real Kafka, do them harm at random, and check afterwards that nothing was
/// lost, doubled, reordered or shown too late.
///
/// Needs Java 17 and Maven, as `system-tests/kafka/kafka` does. Exit codes: 0 all checks passed (or every sabotage was
/// found); 1 a check found something, or did not find what was spoiled or sabotaged; 2 wrong settings; 4 the campaign could not be carried
/// out, also because a service did not come back after a fault, or because it was interrupted.
#[derive(clap::Parser, Debug, Clone)]
pub(crate) struct Flags {
    /// How long clients work and faults happen; up to three times as long until each kind of fault has happened once
    #[arg(long, default_value = "5", value_name = "N", value_parser = minutes)]
    pub(crate) minutes: Duration,

    /// Chooses faults and what clients ask for; a random one is taken and told if left out. The same seed makes the same
    /// choices; how they meet is up to the machine
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// Brokers of the Kafka that is started
    #[arg(long, default_value = "1", value_name = "1|3", value_parser = ["1", "3"])]
    pub(crate) brokers: String,

    /// Concurrent clients
    #[arg(long, default_value = "8", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) clients: u16,

    /// First of the ports that are used: 20, and two more for each broker
    #[arg(long, default_value = "19300", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=32_000))]
    pub(crate) port: u16,

    /// Directory of everything that the campaign makes, empty or new; kept after a failure. A temporary one if left out
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// No faults: clients and checks alone
    #[arg(long)]
    pub(crate) no_faults: bool,

    /// After the checks have passed, spoil what they look at, and insist that the right one finds it: the history, the log
    /// and the answers, as a service with that fault would have left them
    #[arg(long, value_name = "WHAT", value_parser = spoil::names())]
    pub(crate) spoil: Option<String>,

    /// Instead of a campaign: build services that do harm, let clients work with each of them until its fault has struck
    /// often enough, and insist that the right checks find it; for each fault at most --minutes
    #[arg(long, value_name = "WHAT", value_parser = sabotage::names(), conflicts_with_all = ["no_faults", "spoil"])]
    pub(crate) sabotage: Option<String>,
}

/// A number of minutes, fractions too.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| format!("`{text}` is no number of minutes"))?;
    let sensible = (0.05..=1_440.0).contains(&minutes);
    sensible.then(|| Duration::from_secs_f64(minutes * 60.0)).ok_or_else(|| "0.05 to 1440 minutes".to_owned())
}
