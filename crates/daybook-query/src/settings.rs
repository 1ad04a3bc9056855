//! What a query-api needs to know, and its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use daybook_kafka::{Kafka, TopicFlags};
use daybook_projection::replay::{KEEP_DEFAULT, KEEP_MAX, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_RANGE};
use daybook_service::program::ServiceFlags;
use daybook_service::settings::{defaults, millis, number};
use daybook_service::{ConnectionLimits, SettingErrors};

use super::limits::{CATCH_UP_MS_MAX_LIMIT, WAIT_MS_MAX_LIMIT};

/// Longest `--start-timeout-ms`: an hour, for clusters that are slow to come up.
const START_TIMEOUT_MS_LIMIT: u64 = 3_600_000;

#[derive(clap::Args, Debug, Clone)]
pub struct Settings {
    #[command(flatten)]
    pub kafka: Kafka,
    // Of each topic.
    #[arg(skip)]
    pub partitions: i32,
    // Directory of the read model.
    #[arg(skip)]
    pub data_dir: PathBuf,
    #[arg(skip)]
    pub connections: ConnectionLimits,
    /// Rebuild the read model from the log, while what there is stays served
    #[arg(long, env = "DAYBOOK_REPLAY")]
    pub replay: bool,
    /// Bytes of memory that a replay may sort and merge in
    #[arg(
        long = "memory",
        env = "DAYBOOK_MEMORY",
        default_value_t = MEMORY_BYTES_DEFAULT,
        value_name = "BYTES",
        value_parser = number(MEMORY_BYTES_RANGE)
    )]
    pub memory_bytes_max: usize,
    /// How many of the generations that were published before a replay keeps
    #[arg(
        long,
        env = "DAYBOOK_KEEP",
        default_value_t = KEEP_DEFAULT,
        value_name = "N",
        value_parser = number(0..=KEEP_MAX)
    )]
    pub keep: usize,
    /// Publish what a replay has built even if it differs from what is served, for this reason
    #[arg(long, value_name = "WHY")]
    pub accept_difference: Option<String>,
    // A projection that follows is behind by milliseconds; a client that waits longer should come again.
    /// Longest wait that a request may ask for with Daybook-Wait-Ms
    #[arg(
        long,
        env = "DAYBOOK_WAIT_MS_MAX",
        default_value = "5000",
        value_name = "MS",
        value_parser = number(0..=WAIT_MS_MAX_LIMIT)
    )]
    pub wait_ms_max: u64,
    // What a killed process had answered from is projected again within moments; while the log cannot be reached, what is there
    // is better than nothing.
    /// How long queries wait for a read model that was just opened to catch up with the log while it gets no further, before
    /// they are answered from what there is
    #[arg(
        long = "catch-up-ms-max",
        env = "DAYBOOK_CATCH_UP_MS_MAX",
        default_value = "5000",
        value_name = "MS",
        value_parser = millis(0..=CATCH_UP_MS_MAX_LIMIT)
    )]
    pub catch_up_max: Duration,
    /// How long a build waits for Kafka and its topics
    #[arg(
        long = "start-timeout-ms",
        env = "DAYBOOK_START_TIMEOUT_MS",
        default_value = "30000",
        value_name = "MS",
        value_parser = millis(1..=START_TIMEOUT_MS_LIMIT)
    )]
    pub start_timeout: Duration,
}

impl Settings {
    pub fn new(kafka: Kafka, partitions: i32, data_dir: PathBuf) -> Self {
        Self { kafka, partitions, data_dir, ..defaults() }
    }
}

/// Flags of a query service.
#[derive(Parser, Debug, Clone)]
#[command(version)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    topics: TopicFlags,
    #[command(flatten)]
    service: ServiceFlags,
}

impl Arguments {
    pub fn check(self) -> Result<(ServiceFlags, Settings), SettingErrors> {
        let mut errors = SettingErrors::of_flags();
        self.settings.kafka.check(&mut errors);
        errors.finish()?;
        let (data_dir, connections) = (self.service.data_dir.clone(), self.service.connections);
        let partitions = self.topics.partitions;
        Ok((self.service, Settings { data_dir, connections, partitions, ..self.settings }))
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;
    use daybook_service::program::{Defaults, command};

    use super::*;

    const DEFAULTS: Defaults =
        Defaults { name: "lamps", about: "Lamps", listen: "127.0.0.1:8080", data_dir: "data/read-model" };

    fn check(arguments: &[&str]) -> Result<(ServiceFlags, Settings), SettingErrors> {
        let command = command::<Arguments>(DEFAULTS);
        let matches = command.try_get_matches_from([&["lamps"], arguments].concat()).unwrap();
        Arguments::from_arg_matches(&matches).unwrap().check()
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let (served, settings) = check(&[]).unwrap();
        assert_eq!(served.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.data_dir, PathBuf::from("data/read-model"));
        assert_eq!((settings.wait_ms_max, settings.partitions), (5_000, 6));
        assert!(!settings.replay);
        assert_eq!((settings.memory_bytes_max, settings.keep), (512 << 20, 1));
    }

    #[test]
    fn all_wrong_settings_are_reported_together() {
        let wrong = ["--listen", "here", "--data-dir", "", "--wait-ms-max", "-", "--start-timeout-ms", "0"];
        let more = [
            "--partitions",
            "0",
            "--log-format",
            "xml",
            "--connections-max",
            "0",
            "--silence-ms-max",
            "soon",
            "--memory",
            "1",
            "--keep",
            "x",
            "--catch-up-ms-max",
            "later",
        ];
        let errors = check(&[&wrong[..], &more].concat()).unwrap_err();
        let flags: Vec<_> =
            errors.sentences().iter().map(|sentence| sentence.split(':').next().unwrap()).collect();
        let expected = [
            "--listen",
            "--data-dir",
            "--wait-ms-max",
            "--start-timeout-ms",
            "--partitions",
            "--log-format",
            "--connections-max",
            "--silence-ms-max",
            "--memory",
            "--keep",
            "--catch-up-ms-max",
        ];
        assert_eq!(flags, expected);
    }
}
