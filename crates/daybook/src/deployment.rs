//! Where an app is to run: a sandbox of its own, or on a real Kafka with a directory that is kept.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daybook_kafka::embedded::{EmbeddedBroker, EmbeddedError};
use daybook_kafka::{Kafka, TopicFlags, kafka_option, topic_prefix};
use daybook_service::SettingErrors;
use daybook_service::program::address;
use tempfile::TempDir;

use crate::app::READ_MODEL;

/// Flags of a program that runs a whole app, for `#[command(flatten)]`.
#[derive(Debug, Clone, clap::Args)]
pub struct DeploymentFlags {
    /// A real Kafka as HOST:PORT, several joined by commas; without it, a sandbox on an embedded broker
    #[arg(long, env = "DAYBOOK_BROKERS", value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// Directory for all stores, kept; needs --brokers [default: data]
    #[arg(long, env = "DAYBOOK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the query service; the command services take the next ports. Port 0: any free ones
    #[arg(
        long,
        env = "DAYBOOK_LISTEN",
        default_value = LISTEN,
        value_name = "ADDR:PORT",
        value_parser = address("an address such as 127.0.0.1:8080")
    )]
    listen: SocketAddr,
    /// Option for librdkafka (TLS, SASL and the rest), repeatable; in the environment several are joined by ';'
    #[arg(
        long,
        env = "DAYBOOK_KAFKA",
        value_name = "KEY=VALUE",
        value_delimiter = ';',
        hide_env_values = true,
        value_parser = kafka_option
    )]
    kafka: Vec<(String, String)>,
    /// Text before every topic name
    #[arg(
        long,
        env = "DAYBOOK_TOPIC_PREFIX",
        default_value = "",
        value_name = "TEXT",
        value_parser = topic_prefix()
    )]
    topic_prefix: String,
    #[command(flatten)]
    topics: TopicFlags,
}

/// Where the query service listens unless a flag says otherwise.
pub(crate) const LISTEN: &str = "127.0.0.1:8080";

/// Where an app finds its log, keeps its stores and listens.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The log.
    pub kafka: Kafka,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Replication factor of topics that do not exist yet.
    pub replication_factor: i32,
    /// Holds one directory for each command service, by its name, and `read-model`.
    pub data_dir: PathBuf,
    /// Where the query service listens; the command services listen on the next ports, or on any if the port is 0.
    pub listen: SocketAddr,
}

impl AppSettings {
    /// Directory of the read model.
    #[must_use]
    pub fn read_model_dir(&self) -> PathBuf {
        self.data_dir.join(READ_MODEL)
    }
}

/// Where an app is to run, checked.
#[derive(Debug, Clone)]
pub enum Deployment {
    /// On an embedded broker and in a temporary directory.
    Sandbox {
        /// Where the query service listens.
        listen: SocketAddr,
        /// Partitions of each topic.
        partitions: i32,
    },
    /// On a real Kafka.
    Kafka(AppSettings),
}

/// What is ready for an app; keep it as long as the app runs.
pub struct Site {
    /// What the app is started with.
    pub settings: AppSettings,
    /// The embedded broker and the temporary directory, if it is a sandbox.
    pub sandbox: Option<Sandbox>,
}

/// To try everything without Kafka: an embedded broker and a temporary directory, which go when this is dropped.
pub struct Sandbox {
    broker: EmbeddedBroker,
    directory: TempDir,
}

/// Why a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The broker did not start.
    #[error(transparent)]
    Broker(#[from] EmbeddedError),
    /// No temporary directory.
    #[error("no temporary directory could be made; check TMPDIR and its free space")]
    Directory(#[source] std::io::Error),
}

impl DeploymentFlags {
    /// Checks all flags, and reports all that are wrong together.
    pub fn check(&self) -> Result<Deployment, SettingErrors> {
        let mut errors = SettingErrors::of_flags();
        let kafka = Kafka {
            // Checked, but never used, for a sandbox.
            brokers: self.brokers.clone().unwrap_or_else(|| "127.0.0.1:9092".to_owned()),
            options: self.kafka.clone(),
            topic_prefix: self.topic_prefix.clone(),
            embedded: false,
        };
        kafka.check(&mut errors);
        if self.brokers.is_none() && self.data_dir.is_some() {
            errors.push(
                "--data-dir: without --brokers the log is in memory only, and a kept directory would not fit the next \
                 one; name a Kafka with --brokers, or leave --data-dir out",
            );
        }
        errors.finish()?;
        if self.brokers.is_none() {
            return Ok(Deployment::Sandbox { listen: self.listen, partitions: self.topics.partitions });
        }
        Ok(Deployment::Kafka(AppSettings {
            kafka,
            partitions: self.topics.partitions,
            replication_factor: self.topics.replication_factor,
            data_dir: self.data_dir.clone().unwrap_or_else(|| PathBuf::from("data")),
            listen: self.listen,
        }))
    }
}

impl Deployment {
    /// Makes it ready: for a sandbox, starts its broker with `topics`.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn prepare(&self, topics: &[&str]) -> Result<Site, SandboxError> {
        let (listen, partitions) = match self {
            Self::Kafka(settings) => return Ok(Site { settings: settings.clone(), sandbox: None }),
            Self::Sandbox { listen, partitions } => (*listen, *partitions),
        };
        let sandbox = Sandbox::start(topics, partitions)?;
        let settings = AppSettings {
            kafka: sandbox.kafka(),
            partitions,
            replication_factor: 1,
            data_dir: sandbox.directory().to_owned(),
            listen,
        };
        Ok(Site { settings, sandbox: Some(sandbox) })
    }
}

impl Sandbox {
    /// Starts a broker with `topics`, each of `partitions` partitions.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn start(topics: &[&str], partitions: i32) -> Result<Self, SandboxError> {
        let broker = EmbeddedBroker::start()?;
        for topic in topics {
            broker.create_topic(topic, partitions)?;
        }
        let directory =
            tempfile::Builder::new().prefix("daybook-").tempdir().map_err(SandboxError::Directory)?;
        Ok(Self { broker, directory })
    }

    /// How to reach the broker.
    #[must_use]
    pub fn kafka(&self) -> Kafka {
        self.broker.kafka("")
    }

    /// Where an app may keep its stores.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        deployment: DeploymentFlags,
    }

    fn check(flags: &[&str]) -> Result<Deployment, String> {
        let program = Program::parse_from([&["program"], flags].concat());
        program.deployment.check().map_err(|errors| errors.to_string())
    }

    #[test]
    fn without_brokers_it_is_a_sandbox() {
        assert!(matches!(check(&["--partitions", "3"]), Ok(Deployment::Sandbox { partitions: 3, .. })));
    }

    #[test]
    fn with_brokers_data_is_kept_in_data_unless_said_otherwise() {
        let kept = |flags: &[&str]| match check(flags) {
            Ok(Deployment::Kafka(settings)) => settings.data_dir,
            other => panic!("not on Kafka: {other:?}"),
        };
        assert_eq!(kept(&["--brokers", "kafka:9092"]), PathBuf::from("data"));
        assert_eq!(kept(&["--brokers", "kafka:9092", "--data-dir", "d"]), PathBuf::from("d"));
    }

    #[test]
    fn a_kept_directory_without_a_kept_log_is_refused() {
        assert!(check(&["--data-dir", "d"]).is_err_and(|errors| errors.contains("--brokers")));
    }

    #[test]
    fn all_wrong_flags_are_reported_together() {
        let errors = check(&["--listen", "x", "--partitions", "0", "--topic-prefix", "a b"]).unwrap_err();
        for flag in ["--listen", "--partitions", "--topic-prefix"] {
            assert!(errors.contains(flag), "{errors}");
        }
    }
}
