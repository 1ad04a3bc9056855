//! A place to try everything without Kafka: an embedded broker and a temporary directory, both gone at the end.

use std::path::Path;

use daybook_kafka::Kafka;
use daybook_kafka::embedded::{EmbeddedBroker, EmbeddedError};
use tempfile::TempDir;

/// An embedded broker and a directory that go when this is dropped.
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

    /// Where the shop may keep its stores.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
