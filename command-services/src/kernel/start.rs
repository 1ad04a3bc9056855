//! What happens before a service takes its first command: directory, topic, store, and the comparison with the log.

use std::sync::Arc;

use event_log::LogError;
use event_log::topics::{self, TopicError, TopicSpec};

use super::aggregate::Aggregate;
use super::comparison::{CompareError, OwnTopic};
use super::directory::{Directory, DirectoryError, Marker};
use super::group::GroupError;
use super::keys::LAYOUT;
use super::recorded;
use super::recover::{self, RecoverError};
use super::rows::Counter;
use super::settings::Settings;
use super::store::{Store, StoreError};

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Kafka cannot be reached.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its topic cannot be used.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Its store cannot be opened or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its store is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Log and store could not be compared, or do not fit together.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The store could not be rebuilt.
    #[error("--recover did not succeed, the old store is untouched: {0}")]
    Recover(#[from] RecoverError),
}

impl From<GroupError> for StartError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Store(error) => Self::Store(error),
            GroupError::Damaged(damaged) => Self::Damaged(damaged.to_string()),
        }
    }
}

/// A service that may begin.
pub(crate) struct Started {
    /// Held as long as the service runs.
    pub(crate) directory: Directory,
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Vec<Counter>,
    /// Per partition: positions that the log has.
    pub(crate) sent: Vec<u64>,
}

/// Opens everything and compares it. Blocks.
pub(crate) fn start<A: Aggregate>(settings: &Settings) -> Result<Started, StartError> {
    let (kafka, partitions) = (&settings.kafka, settings.partitions);
    let marker = Marker {
        service: A::SERVICE.to_owned(),
        layout: LAYOUT,
        topic: kafka.topic_name(A::TOPIC),
        partitions,
    };
    let directory = Directory::open(&settings.data_dir, A::SERVICE)?;
    let marked = directory.check_marker(&marker)?;
    topics::wait_reachable(kafka, settings.limits.start_timeout)?;
    let spec = TopicSpec { partitions, replication_factor: settings.replication_factor };
    topics::ensure(kafka, A::TOPIC, &spec)?;
    let own = own_topic::<A>(settings);
    let mut tails = own.tails()?;
    if !marked && !settings.recover {
        own.refuse_to_begin_anew(&tails)?;
    }
    if !marked {
        directory.write_marker(&marker)?;
    }
    if settings.recover {
        // What was read to its end is known better than by a look at the last record, which may be a repetition.
        tails = recover::recover::<A>(kafka, &directory, partitions, settings.limits.cache_bytes_max)?;
    }
    let store = Store::open(&directory.store(), settings.limits.cache_bytes_max)?;
    let sent = own.resume(&store, &tails)?;
    let counters = recorded::counters(&store, tails.len())?;
    Ok(Started { directory, store: Arc::new(store), counters, sent })
}

/// What the service writes to.
pub(crate) fn own_topic<A: Aggregate>(settings: &Settings) -> OwnTopic {
    OwnTopic {
        kafka: settings.kafka.clone(),
        topic: A::TOPIC,
        service: A::SERVICE,
        partitions: settings.partitions,
        dir: settings.data_dir.display().to_string(),
    }
}
