//! What happens before a service takes its first command: directory, topic, store, and the comparison with the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use daybook_event::sequence::Reached;
use daybook_journal::ReadError;
use daybook_kafka::topics::{self, TopicError, TopicSpec};
use daybook_kafka::{Kafka, LogError};
use daybook_store::LockError;

use crate::aggregate::{Aggregate, UniqueKeys};
use crate::before::{self, UpgradeError};
use crate::directory::{Directory, DirectoryError, Marked, Marker};
use crate::kept::{self, Begun, Kept, KeptError, Looked, Opening, is_of_the_disk};
use crate::keys::LAYOUT;
use crate::reconcile;
use crate::reconcile::{CompareError, OwnTopic};
use crate::recover::{self, RecoverError};
use crate::rows::Counter;
use crate::run::Starting;
use crate::seal::{Ambient, now_ms};
use crate::settings::Settings;
use crate::writer::{ClaimError, Claimant, Claimed, InstanceError, OwnLog, Patience};

/// How long a partition may be without a leader before a start goes on without it: an election takes less.
const ELECTION_MAX: Duration = Duration::from_secs(3);
/// Pause before it is asked for again.
const ELECTION_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Started {
    /// Held as long as the service runs.
    pub(crate) directory: Directory,
    pub(crate) kept: Kept,
    pub(crate) counters: Vec<Counter>,
    /// Per partition: positions that the log has; none where nobody answers for it.
    pub(crate) sent: Vec<Option<u64>>,
    /// How many stores lie aside.
    pub(crate) old_stores: u64,
}

/// A topic as this process has claimed it.
pub(crate) type Claim = (Claimant, Claimed);

/// Opens everything, compares it and claims the topic. Blocks.
pub(crate) fn start<A: Aggregate>(
    settings: &Settings,
    ambient: &Arc<dyn Ambient>,
    starting: &Starting,
) -> Result<(Started, Claim), StartError> {
    let (kafka, partitions) = (&settings.kafka, settings.partitions);
    let marker = Marker {
        service: A::SERVICE.to_owned(),
        layout: LAYOUT,
        topic: kafka.topic_name(A::TOPIC),
        partitions,
    };
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        return Err(StartError::Clock);
    }
    starting.says("opening the directory");
    let directory = Directory::open(&settings.data_dir, A::SERVICE)?;
    let marked = directory.check_marker(&marker)?;
    let recover = recovers(&directory, settings)?;
    starting.says("waiting for a Kafka broker");
    let cluster = topics::wait_reachable(kafka, settings.limits.start_timeout)?;
    let opening = Opening {
        topic: &marker.topic,
        cluster: &cluster,
        adopt_cluster: settings.adopt_cluster,
        partitions,
        cache_bytes_max: settings.limits.cache_bytes_max,
        new_id: ambient.new_id(),
        now_ms: now_ms(&**ambient),
        starting,
    };
    let store = directory.store();
    // Before a topic is made: a wrong --brokers must leave none in a cluster that has nothing to do with this directory.
    kept::refuse_other_clusters_store(&store, &opening)?;
    let spec = TopicSpec { partitions, replication_factor: settings.replication_factor };
    topics::ensure(kafka, A::TOPIC, &spec)?;
    let instance = directory.instance(|| ambient.new_id())?;
    let own = own_topic::<A>(settings);
    let mut claimant = Claimant {
        own,
        cluster: cluster.clone(),
        instance,
        ambient: Arc::clone(ambient),
        took_none: BTreeSet::new(),
        sent: BTreeSet::new(),
    };
    if marked == Marked::Before && !recover {
        starting.says("taking over a directory from before there was a journal");
        before::upgrade(&store, &directory.recovering()?, &opening)?;
        directory.recovered()?;
        directory.write_marker(&marker)?;
        directory.replace_store()?;
    }
    let has_store = marked != Marked::Not && !recover;
    starting.says("opening journal and index");
    let of_today = marked == Marked::Today;
    let mut looked = if has_store { kept::look(&store, &opening, of_today)? } else { None };
    if !recover && looked.is_none() && claimant.instance.epoch() > 0 {
        // Who has claimed had a journal by then, or was about to make it of the log.
        let (dir, epoch) = (store.display().to_string(), claimant.instance.epoch());
        return Err(KeptError::NothingKept { dir, epoch }.into());
    }
    claimant.begin_log(looked.as_ref().map(|looked| &looked.reader), recover);
    let nothing = || vec![Reached::default(); partitions as usize];
    let marks = looked.as_ref().map_or_else(nothing, |looked| reconcile::marks(&looked.reader));
    starting.says("reading the end of the log");
    let log = read_own_log(&claimant, &marks, starting);
    let mut log = log.map_err(|error| match error {
        CompareError::Incoming(error) if recover => RecoverError::Incoming(error).into(),
        error => StartError::from(error),
    })?;
    if let Some(looked) = looked.as_mut().filter(|looked| looked.lacks_index().is_some())
        && let Err(error) = refuse_to_build::<A>(looked, kafka, &log)
    {
        // Who could not be asked may have all of it.
        if !error.lacks_log() {
            return Err(error);
        }
        looked.make_do(&opening);
    }
    if let Err(away) = log.whole() {
        refuse_without(away, settings, recover, looked.as_ref(), &claimant, &log)?;
    }
    // Whoever claims shuts others out, so what can be refused is refused before.
    match &looked {
        Some(looked) => {
            let whole = log.whole().ok();
            whole.as_ref().map_or(Ok(()), |whole| looked.refuse_unsent_damage(whole))?;
            claimant.own.compare(&looked.reader, looked.recorded(whole.as_ref())?, &log)?;
        }
        None if recover => {}
        None => claimant.own.refuse_to_begin_anew(&log.whole().map_err(StartError::Away)?)?,
    }
    if !settings.take_over {
        claimant.refuse_others(&log).map_err(ClaimError::from)?;
    }
    if let (Marked::Earlier, Some(looked)) = (marked, &mut looked) {
        refuse_earlier::<A>(looked, kafka, &log)?;
        looked.note_digest()?;
    }
    // From here on no earlier program begins with what may be half of today's.
    if matches!(marked, Marked::Not | Marked::Earlier) {
        directory.write_marker(&marker)?;
    }
    // A disk that takes no new file is found out before anything is claimed.
    let whole = log.whole().ok();
    let reason = looked.as_ref().and_then(Looked::lacks_index).map(str::to_owned);
    let (begun, looked) = match looked {
        Some(looked) if looked.goes_on_in_log(whole.as_ref())? => (None, Some(looked)),
        Some(looked) => (Some(looked.begin(&opening, whole.as_ref())?), None),
        None if recover => (None, None),
        None => (Some(Begun::make(&store, &opening)?), None),
    };
    if looked.is_some() || begun.as_ref().is_some_and(|begun| begun.index.is_err()) {
        let reason = begun.as_ref().and_then(|begun| begun.index.as_ref().err()).or(reason.as_ref());
        can_be_built::<A>(kafka, &log).map_err(|error| error.for_index(reason.map(String::as_str)))?;
    }
    starting.says("claiming the topic");
    let claimed = claimant.claim(&mut log, &Patience::of_a_start())?;
    log.refuse_unfit()?;
    // One that is lost meanwhile is missed by those only who need all.
    let whole = log.whole();
    if settings.take_over {
        // Where it has no claim, the one that it shuts out has the last one.
        whole.as_ref().map_err(|away| StartError::Away(away.clone()))?;
    }
    let ends: Vec<i64> = claimed.ends.iter().filter_map(|end| end.as_ref().ok()).copied().collect();
    let up_to = whole.as_ref().map(|log| recover::UpTo { ends: &ends, log });
    let needed = || up_to.as_ref().map_err(|away| StartError::Away((*away).clone()));
    let begun = match (begun, looked) {
        (Some(begun), _) => begun,
        (None, Some(looked)) => looked.begin(&opening, Some(needed()?.log))?,
        (None, None) => {
            let up_to = needed()?;
            recover::recover::<A>(kafka, &directory, &marker, &opening, up_to, &mut claimant.instance)?;
            if let Err(error) = directory.note_recovered() {
                tracing::warn!(%error, "a next start with --recover would rebuild the store once more");
            }
            let looked = kept::look(&store, &opening, true)?.ok_or(RecoverError::Gone)?;
            looked.begin(&opening, Some(up_to.log))?
        }
    };
    if begun.index.is_err() {
        needed()?;
    }
    let kept = recover::with_index::<A>(begun, kafka, &opening, up_to.as_ref().map_err(|away| *away))?;
    let sent = claimant.own.resume(&kept.journal.reader(), &mut log)?;
    log.refuse_unfit()?;
    let counters = reconcile::counters(&kept.journal.reader());
    let old_stores = tell_old_stores(&directory)?;
    Ok((Started { directory, kept, counters, sent, old_stores }, (claimant, claimed)))
}

/// Refuses what could not be brought to today's form, while the program before can still open the directory.
fn refuse_earlier<A: Aggregate>(looked: &mut Looked, kafka: &Kafka, log: &OwnLog) -> Result<(), StartError> {
    if UniqueKeys::<A>::form() > 0 {
        looked.read_through()?;
    }
    refuse_to_build::<A>(looked, kafka, log)
}

/// Refuses a start whose index is to be built again, where that cannot be.
fn refuse_to_build<A: Aggregate>(looked: &Looked, kafka: &Kafka, log: &OwnLog) -> Result<(), StartError> {
    let Some(reason) = looked.lacks_index() else { return Ok(()) };
    can_be_built::<A>(kafka, log).map_err(|error| error.for_index(Some(reason)))
}

/// Refuses a log of which not all is there.
fn can_be_built<A: Aggregate>(kafka: &Kafka, log: &OwnLog) -> Result<(), StartError> {
    log.whole().map_err(StartError::Away)?;
    Ok(recover::refuse_front_deleted(kafka, A::TOPIC, log.partitions.len() as i32)?)
}

/// Whether the store is to be rebuilt: once. Where the flag stays in a command line, each start would forget the idempotency
/// keys and leave one more old store.
fn recovers(directory: &Directory, settings: &Settings) -> Result<bool, StartError> {
    if !settings.recover {
        directory.forget_recovered()?;
        return Ok(false);
    }
    if directory.is_recovered() {
        tracing::warn!(
            "--recover is left out: the start before this one has rebuilt the store. Start without it from now on; to rebuild it \
             once more, remove {}",
            directory.recovered_note().display()
        );
        return Ok(false);
    }
    Ok(true)
}

fn tell_old_stores(directory: &Directory) -> Result<u64, StartError> {
    let old = directory.old_stores()?;
    if let Some(last) = old.last() {
        let (count, last) = (old.len(), last.display());
        tracing::info!(
            count,
            %last,
            "old stores lie aside, with the states of users who have left since; once nothing of them is needed, stop the service and \
             start it with --remove-old-stores"
        );
    }
    Ok(old.len() as u64)
}

/// Reads what it can. A broker that has just come back has no leaders for a moment.
fn read_own_log(claimant: &Claimant, marks: &[Reached], starting: &Starting) -> Result<OwnLog, CompareError> {
    let began = Instant::now();
    loop {
        let log = OwnLog::read(&claimant.own, marks, claimant.instance.epoch())?;
        match log.whole() {
            Err(away) if began.elapsed() < ELECTION_MAX => starting.says(away.to_string()),
            _ => return Ok(log),
        }
        thread::sleep(ELECTION_PAUSE);
    }
}

/// Whether the start goes on although nobody answers for a partition: not if the whole log is needed, and not if anybody else
/// may write the topic. An old copy of the directory would decide anew there what is decided.
fn refuse_without(
    away: TopicError,
    settings: &Settings,
    recover: bool,
    looked: Option<&Looked>,
    claimant: &Claimant,
    log: &OwnLog,
) -> Result<(), StartError> {
    if !settings.take_over {
        claimant.refuse_others(log).map_err(ClaimError::from)?;
    }
    let is_simple = !recover && !settings.take_over && looked.is_some_and(Looked::is_sound);
    // Of a log of which nothing is known nobody can say who writes it.
    let is_simple = is_simple && log.known().next().is_some();
    if is_simple && log.epoch() <= claimant.instance.epoch() {
        tracing::warn!(
            "the start goes on without a partition, whose commands are refused until it is back: {away}"
        );
        return Ok(());
    }
    Err(StartError::Away(away).for_index(looked.and_then(Looked::lacks_index)))
}

/// What the service writes to.
pub(crate) fn own_topic<A: Aggregate>(settings: &Settings) -> OwnTopic {
    OwnTopic {
        kafka: settings.kafka.clone(),
        topic: A::TOPIC,
        service: A::SERVICE,
        partitions: settings.partitions,
        dir: settings.data_dir.display().to_string(),
        set_aside: Arc::default(),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the system's clock says a time before 1970, with which neither Kafka nor HTTP can work; set it")]
    Clock,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Kept(Box<KeptError>),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(
        "this start needs all partitions of its topic, and is tried again until all are answered for: {0} (a start goes on without one \
         only if nothing is to be rebuilt or taken over, the directory is sound, and nobody has claimed the topic since)"
    )]
    Away(TopicError),
    #[error(
        "{source}. It is needed because the store's index is of no more use and has to be built again: {reason}"
    )]
    ToBuild { reason: String, source: Box<StartError> },
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("{0}")]
    Upgrade(#[from] UpgradeError),
    #[error("the store could not be rebuilt, and the journal that was there is untouched: {0}")]
    Recover(#[from] RecoverError),
}

impl From<KeptError> for StartError {
    fn from(error: KeptError) -> Self {
        Self::Kept(Box::new(error))
    }
}

impl StartError {
    /// Whether somebody may answer later for a partition that is needed, or take a claim.
    pub(crate) fn is_of_a_partition(&self) -> bool {
        let topic = match self {
            Self::ToBuild { source, .. } => return source.is_of_a_partition(),
            Self::Away(_) | Self::Claim(ClaimError::NoneTaken { .. }) => return true,
            Self::Topic(error)
            | Self::Compare(CompareError::Topic(error))
            | Self::Claim(ClaimError::Compare(CompareError::Topic(error)))
            | Self::Recover(RecoverError::Topic(error)) => error,
            Self::Recover(RecoverError::Log(error)) => return matches!(error, LogError::Silent { .. }),
            _ => return false,
        };
        topic.is_away() || matches!(topic, TopicError::Log(LogError::Silent { .. }))
    }

    /// Whether the log does not have what an index would be built of, or nobody answers for a part of it.
    pub(super) fn lacks_log(&self) -> bool {
        match self {
            Self::ToBuild { source, .. } => source.lacks_log(),
            Self::Away(_) | Self::Recover(RecoverError::Topic(TopicError::FrontDeleted { .. })) => true,
            _ => false,
        }
    }

    /// The same, as met by a start whose index is to be built again for this reason, if there is one.
    pub(super) fn for_index(self, reason: Option<&str>) -> Self {
        match reason {
            Some(reason) => Self::ToBuild { reason: reason.to_owned(), source: Box::new(self) },
            None => self,
        }
    }

    /// Whether the disk does not do as asked, so that another attempt may succeed.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::ToBuild { source, .. } => source.is_of_the_disk(),
            Self::Directory(DirectoryError::Unusable { source, .. }) => is_of_the_disk(source),
            Self::Directory(DirectoryError::Lock(LockError::Io { source, .. })) => is_of_the_disk(source),
            Self::Instance(InstanceError::Unwritable { source, .. })
            | Self::Claim(ClaimError::Instance(InstanceError::Unwritable { source, .. }))
            | Self::Compare(CompareError::Journal(ReadError::Io { source, .. })) => is_of_the_disk(source),
            Self::Kept(error) => error.is_of_the_disk(),
            Self::Recover(error) => error.is_of_the_disk(),
            Self::Upgrade(error) => error.is_of_the_disk(),
            Self::Instance(error) => error.is_of_the_disk(),
            Self::Claim(ClaimError::Instance(error)) => error.is_of_the_disk(),
            _ => false,
        }
    }
}
