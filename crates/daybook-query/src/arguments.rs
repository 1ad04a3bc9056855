//! The command line of a query service.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use daybook_kafka::KafkaFlags;
use daybook_projection::replay::{KEEP_DEFAULT, KEEP_MAX, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_RANGE};
use daybook_service::SettingErrors;
use daybook_service::program::{Served, ServiceFlags};

use super::limits::{CATCH_UP_MS_MAX_DEFAULT, CATCH_UP_MS_MAX_LIMIT, WAIT_MS_MAX_DEFAULT, WAIT_MS_MAX_LIMIT};
use super::settings::{START_TIMEOUT_MS_DEFAULT, Settings};

/// Longest `--start-timeout-ms`: an hour, for clusters that are slow to come up.
const START_TIMEOUT_MS_LIMIT: u64 = 3_600_000;

/// Flags of a query service. Taken as text and checked together, so that one run shows everything that is wrong.
#[derive(Parser, Debug, Clone)]
#[command(version)]
pub struct Arguments {
    #[command(flatten)]
    kafka: KafkaFlags,

    #[command(flatten)]
    service: ServiceFlags,

    /// Rebuild the read model from the log, while what there is goes on being served
    #[arg(long, env = "DAYBOOK_REPLAY")]
    replay: bool,

    /// Bytes of memory that a replay may sort and merge in
    #[arg(long, env = "DAYBOOK_MEMORY", default_value_t = MEMORY_BYTES_DEFAULT.to_string(), value_name = "BYTES")]
    memory: String,

    /// How many of the generations that were published before a replay keeps
    #[arg(long, env = "DAYBOOK_KEEP", default_value_t = KEEP_DEFAULT.to_string(), value_name = "N")]
    keep: String,

    /// Publish what a replay has built even if it differs from what is served, for this reason
    #[arg(long, value_name = "WHY")]
    accept_difference: Option<String>,

    /// Longest wait that a request may ask for with Daybook-Wait-Ms
    #[arg(long, env = "DAYBOOK_WAIT_MS_MAX", default_value_t = WAIT_MS_MAX_DEFAULT.to_string(), value_name = "MS")]
    wait_ms_max: String,

    /// How long queries wait for a read model that was just opened to catch up with the log while it gets no further, before
    /// they are answered from what there is
    #[arg(long, env = "DAYBOOK_CATCH_UP_MS_MAX", default_value_t = CATCH_UP_MS_MAX_DEFAULT.to_string(), value_name = "MS")]
    catch_up_ms_max: String,

    /// How long a build waits for Kafka and its topics
    #[arg(long, env = "DAYBOOK_START_TIMEOUT_MS", default_value_t = START_TIMEOUT_MS_DEFAULT.to_string(), value_name = "MS")]
    start_timeout_ms: String,
}

impl Arguments {
    /// Checks everything and reports all that is wrong together.
    ///
    /// # Errors
    /// One sentence per wrong setting.
    pub fn check(&self) -> Result<(Served, Settings), SettingErrors> {
        let mut errors = SettingErrors::default();
        let checked = self.checked(&mut errors);
        errors.finish()?;
        // Whatever is missing has left its sentence.
        checked.ok_or_else(SettingErrors::default)
    }

    fn checked(&self, errors: &mut SettingErrors) -> Option<(Served, Settings)> {
        let kafka = self.kafka.check(errors);
        let served = self.service.check(errors);
        let memory = errors.parse_in("--memory", &self.memory, MEMORY_BYTES_RANGE);
        let keep = errors.parse_in("--keep", &self.keep, 0..=KEEP_MAX);
        let wait_ms_max = errors.parse_in("--wait-ms-max", &self.wait_ms_max, 0..=WAIT_MS_MAX_LIMIT);
        let catch_up_ms_max =
            errors.parse_in("--catch-up-ms-max", &self.catch_up_ms_max, 0..=CATCH_UP_MS_MAX_LIMIT);
        let start_timeout_ms =
            errors.parse_in("--start-timeout-ms", &self.start_timeout_ms, 1..=START_TIMEOUT_MS_LIMIT);
        let (kafka, served) = (kafka?, served?);
        let settings = Settings {
            replay: self.replay,
            memory_bytes_max: memory?,
            keep: keep?,
            accept_difference: self.accept_difference.clone(),
            wait_ms_max: wait_ms_max?,
            catch_up_max: Duration::from_millis(catch_up_ms_max?),
            start_timeout: Duration::from_millis(start_timeout_ms?),
            connections: served.connections,
            ..Settings::new(kafka.kafka, kafka.partitions, PathBuf::from(&self.service.data_dir))
        };
        Some((served, settings))
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;
    use daybook_service::program::{Defaults, command};

    use super::*;

    const DEFAULTS: Defaults =
        Defaults { name: "lamps", about: "Lamps", listen: "127.0.0.1:8080", data_dir: "data/read-model" };

    fn check(arguments: &[&str]) -> Result<(Served, Settings), SettingErrors> {
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
            "--partitions",
            "--listen",
            "--log-format",
            "--connections-max",
            "--silence-ms-max",
            "--data-dir",
            "--memory",
            "--keep",
            "--wait-ms-max",
            "--catch-up-ms-max",
            "--start-timeout-ms",
        ];
        assert_eq!(flags, expected);
    }
}
