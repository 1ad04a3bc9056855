//! The command line of query-api.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use daybook_kafka::KafkaFlags;
use daybook_projection::replay::{KEEP_DEFAULT, KEEP_MAX, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_RANGE};
use daybook_service::SettingErrors;
use daybook_service::{ConnectionFlags, LogFlags, LogFormat};

use super::limits::{CATCH_UP_MS_MAX_DEFAULT, CATCH_UP_MS_MAX_LIMIT, WAIT_MS_MAX_DEFAULT, WAIT_MS_MAX_LIMIT};
use super::settings::{START_TIMEOUT_MS_DEFAULT, Settings};

/// Longest `--start-timeout-ms`: an hour, for clusters that are slow to come up.
const START_TIMEOUT_MS_LIMIT: u64 = 3_600_000;

/// Follows the log into the read model, and answers queries from it.
#[derive(Parser, Debug, Clone)]
#[command(name = "query-api", version, about)]
pub struct Arguments {
    #[command(flatten)]
    kafka: KafkaFlags,

    #[command(flatten)]
    log: LogFlags,

    #[command(flatten)]
    connections: ConnectionFlags,

    /// Address to answer at; port 0 takes any free one
    #[arg(long, env = "DAYBOOK_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    listen: String,

    /// Directory of the read model
    #[arg(long, env = "DAYBOOK_DATA_DIR", default_value = "data/read-model", value_name = "DIR")]
    data_dir: String,

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

    /// Ask the query-api that runs at --listen whether it is alive; exit 0 or 1
    #[arg(long)]
    health_check: bool,
}

/// What one run is to do.
#[derive(Debug)]
pub enum Task {
    /// Ask a running one whether it is alive.
    HealthCheck(SocketAddr),
    /// Serve.
    Serve(Box<Serve>),
}

/// A run that serves.
#[derive(Debug)]
pub struct Serve {
    /// Where to answer.
    pub listen: SocketAddr,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Everything else.
    pub settings: Settings,
}

impl Arguments {
    /// Checks everything and reports all that is wrong together.
    ///
    /// # Errors
    /// One sentence per wrong setting.
    pub fn check(&self) -> Result<Task, SettingErrors> {
        let mut errors = SettingErrors::default();
        let listen = errors.parse("--listen", &self.listen, "an IP address and port, such as 127.0.0.1:8080");
        let serve = self.serve(listen, &mut errors);
        errors.finish()?;
        match (self.health_check, listen, serve) {
            (true, Some(listen), _) => Ok(Task::HealthCheck(listen)),
            (_, _, Some(serve)) => Ok(Task::Serve(Box::new(serve))),
            // Whatever is missing has left its sentence.
            _ => Err(SettingErrors::default()),
        }
    }

    fn serve(&self, listen: Option<SocketAddr>, errors: &mut SettingErrors) -> Option<Serve> {
        let kafka = self.kafka.check(errors);
        let log_format = self.log.check(errors);
        let connections = self.connections.check(errors);
        let data_dir = check_data_dir(&self.data_dir, errors);
        let memory = errors.parse_in("--memory", &self.memory, MEMORY_BYTES_RANGE);
        let keep = errors.parse_in("--keep", &self.keep, 0..=KEEP_MAX);
        let wait_ms_max = errors.parse_in("--wait-ms-max", &self.wait_ms_max, 0..=WAIT_MS_MAX_LIMIT);
        let catch_up_ms_max =
            errors.parse_in("--catch-up-ms-max", &self.catch_up_ms_max, 0..=CATCH_UP_MS_MAX_LIMIT);
        let start_timeout_ms =
            errors.parse_in("--start-timeout-ms", &self.start_timeout_ms, 1..=START_TIMEOUT_MS_LIMIT);
        let kafka = kafka?;
        let settings = Settings {
            replay: self.replay,
            memory_bytes_max: memory?,
            keep: keep?,
            accept_difference: self.accept_difference.clone(),
            wait_ms_max: wait_ms_max?,
            catch_up_max: Duration::from_millis(catch_up_ms_max?),
            start_timeout: Duration::from_millis(start_timeout_ms?),
            connections: connections?,
            ..Settings::new(kafka.kafka, kafka.partitions, data_dir?)
        };
        Some(Serve { listen: listen?, log_format: log_format?, settings })
    }
}

fn check_data_dir(raw: &str, errors: &mut SettingErrors) -> Option<PathBuf> {
    if raw.is_empty() {
        errors.push("--data-dir: must name a directory".to_owned());
        return None;
    }
    Some(PathBuf::from(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str]) -> Result<Task, SettingErrors> {
        Arguments::try_parse_from([&["query-api"], arguments].concat()).unwrap().check()
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let Task::Serve(serve) = check(&[]).unwrap() else { panic!("it serves") };
        assert_eq!(serve.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(serve.settings.data_dir, PathBuf::from("data/read-model"));
        assert_eq!((serve.settings.wait_ms_max, serve.settings.partitions), (5_000, 6));
        assert!(!serve.settings.replay);
        assert_eq!((serve.settings.memory_bytes_max, serve.settings.keep), (512 << 20, 1));
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
            "--partitions",
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

    #[test]
    fn a_health_check_needs_only_an_address() {
        let task = check(&["--health-check", "--listen", "127.0.0.1:9"]).unwrap();
        assert!(matches!(task, Task::HealthCheck(address) if address.port() == 9));
    }
}
