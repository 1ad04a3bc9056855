//! What happens before a service takes its first command: directory, topic, store, and the comparison with the log.

use std::sync::Arc;

use event_log::LogError;
use event_log::topics::{self, TopicError, TopicSpec};
use schemas::sequence::Reached;

use super::aggregate::Aggregate;
use super::ambient::{Ambient, now_ms};
use super::comparison::{CompareError, OwnTopic};
use super::directory::{Directory, DirectoryError, Marker};
use super::group::GroupError;
use super::kept::{Kept, KeptError, Opening};
use super::keys::LAYOUT;
use super::recorded;
use super::recover::{self, RecoverError};
use super::rows::Counter;
use super::settings::Settings;
use super::store::StoreError;
use super::writer::{ClaimError, Claimant, Claimed, InstanceError, OwnLog};

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
    /// Its journal and store cannot be begun with.
    #[error(transparent)]
    Kept(Box<KeptError>),
    /// Log and store could not be compared, or do not fit together.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// Which instance it is cannot be told.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// Its topic could not be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
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

impl From<KeptError> for StartError {
    fn from(error: KeptError) -> Self {
        Self::Kept(Box::new(error))
    }
}

/// A service that may begin.
pub(crate) struct Started {
    /// Held as long as the service runs.
    pub(crate) directory: Directory,
    pub(crate) kept: Kept,
    pub(crate) counters: Vec<Counter>,
    /// Per partition: positions that the log has.
    pub(crate) sent: Vec<u64>,
}

/// A topic as this process has claimed it.
pub(crate) type Claim = (Claimant, Claimed);

/// Opens everything, compares it and claims the topic. Blocks.
pub(crate) fn start<A: Aggregate>(
    settings: &Settings,
    ambient: &Arc<dyn Ambient>,
) -> Result<(Started, Claim), StartError> {
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
    let instance = directory.instance(|| ambient.new_id())?;
    let mut claimant = Claimant { own: own_topic::<A>(settings), instance, ambient: Arc::clone(ambient) };
    let open = || {
        let opening = Opening {
            topic: &marker.topic,
            partitions,
            cache_bytes_max: settings.limits.cache_bytes_max,
            new_id: ambient.new_id(),
            now_ms: now_ms(&**ambient),
        };
        Kept::open(&directory.store(), &opening)
    };
    let kept = (marked && !settings.recover).then(open).transpose()?;
    let marks = match &kept {
        Some(kept) => recorded::marks(&kept.store, partitions)?,
        None => vec![Reached::default(); partitions as usize],
    };
    let log = OwnLog::read(&claimant.own, &marks, claimant.instance.epoch());
    let mut log = log.map_err(|error| match error {
        CompareError::Incoming(error) if settings.recover => RecoverError::Incoming(error).into(),
        error => StartError::from(error),
    })?;
    // Whoever claims shuts others out, so what can be refused is refused before.
    match &kept {
        Some(kept) => drop(claimant.own.compare(&kept.store, &log.tails())?),
        None if settings.recover => {}
        None => claimant.own.refuse_to_begin_anew(&log.tails())?,
    }
    if !settings.take_over {
        claimant.refuse_others(&log).map_err(ClaimError::from)?;
    }
    if !marked {
        directory.write_marker(&marker)?;
    }
    let claimed = claimant.claim(&mut log)?;
    if settings.recover {
        let up_to = recover::UpTo { ends: &claimed.ends, tails: &log.tails() };
        recover::recover::<A>(kafka, &directory, &up_to, settings.limits.cache_bytes_max)?;
    }
    let kept = kept.map_or_else(open, Ok)?;
    let sent = claimant.own.resume(&kept.store, &log)?;
    let counters = recorded::counters(&kept.store, sent.len())?;
    Ok((Started { directory, kept, counters, sent }, (claimant, claimed)))
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
