//! What happens before a service takes its first command: directory, topic, store, and the comparison with the log.

mod error;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use daybook_event::sequence::Reached;
use daybook_kafka::topics::{self, TopicError, TopicSpec};
pub use error::StartError;

use crate::aggregate::{Aggregate, UniqueKeys};
use crate::commit::seal::{Ambient, now_ms};
use crate::fencing::{Claimant, Claimed, OwnLog, Patience};
use crate::reconcile::{self, CompareError, OwnTopic};
use crate::recover::{self, RecoverError};
use crate::run::StartProgress;
use crate::settings::Settings;
use crate::store::before;
use crate::store::directory::{Directory, Marked, Marker};
use crate::store::keys::LAYOUT;
use crate::store::{self, Begun, FoundStore, Kept, KeptError, Opening};

/// How long a partition may be without a leader before a start goes on without it: an election takes less.
const ELECTION_MAX: Duration = Duration::from_secs(3);
/// Pause before it is asked for again.
const ELECTION_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Started {
    /// Held as long as the service runs.
    pub(crate) directory: Directory,
    pub(crate) kept: Kept,
    /// Who has claimed the topic for this process, and how.
    pub(crate) claimant: Claimant,
    pub(crate) claimed: Claimed,
    /// Per partition: positions that the log has; none where nobody answers for it.
    pub(crate) sent: Vec<Option<u64>>,
    /// How many stores lie aside.
    pub(crate) old_stores: u64,
}

/// Opens everything, compares it and claims the topic. Blocks. A claim fences all others, so what can be refused is refused
/// before.
pub(crate) fn start<A: Aggregate>(
    settings: &Settings,
    ambient: &Arc<dyn Ambient>,
    progress: &StartProgress,
) -> Result<Started, StartError> {
    let mut start = Start::prepare::<A>(settings, ambient, progress)?;
    start.upgrade()?;
    let mut found = start.find_store()?;
    let mut log = start.read_log(found.as_ref())?;
    start.refuse_without_log(found.as_mut(), &log)?;
    start.compare(found.as_ref(), &log)?;
    start.bring_to_layout::<A>(found.as_mut(), &log)?;
    let beginning = start.begin(found, &log)?;
    let claimed = start.claim(&mut log)?;
    let kept = start.build::<A>(beginning, &log)?;
    let Start { directory, claimant, .. } = start;
    let sent = claimant.own.resume(&kept.journal.reader(), &mut log)?;
    log.refuse_diverged()?;
    let old_stores = report_old_stores(&directory)?;
    Ok(Started { directory, kept, claimant, claimed, sent, old_stores })
}

/// A start whose directory is locked, and whose topic is there.
struct Start<'s> {
    settings: &'s Settings,
    directory: Directory,
    marker: Marker,
    marked: Marked,
    /// The store is to be rebuilt.
    recover: bool,
    opening: Opening<'s>,
    claimant: Claimant,
}

/// What the service begins with.
enum Beginning {
    Begun(Box<Begun>),
    /// A journal that has lost its end, behind what the log has: it begins once the topic is claimed.
    BehindLog(Box<FoundStore>),
    /// What is rebuilt from the log, up to the claims.
    Rebuilt,
}

impl<'s> Start<'s> {
    fn prepare<A: Aggregate>(
        settings: &'s Settings,
        ambient: &Arc<dyn Ambient>,
        progress: &'s StartProgress,
    ) -> Result<Self, StartError> {
        if SystemTime::now() < SystemTime::UNIX_EPOCH {
            return Err(StartError::Clock);
        }
        let (kafka, partitions) = (settings.kafka.clone(), settings.partitions);
        let (service, topic) = (A::SERVICE.to_owned(), kafka.topic_name(A::TOPIC));
        let marker = Marker { service, layout: LAYOUT, topic: topic.clone(), partitions };
        progress.report("opening the directory");
        let directory = Directory::open(&settings.data_dir, A::SERVICE)?;
        let marked = directory.check_marker(&marker)?;
        let recover = recovers(&directory, settings)?;
        progress.report("waiting for a Kafka broker");
        let cluster = topics::wait_reachable(&kafka, settings.limits.start_timeout)?;
        let opening = Opening {
            topic,
            cluster: cluster.clone(),
            adopt_cluster: settings.adopt_cluster,
            partitions,
            cache_bytes_max: settings.limits.cache_bytes_max,
            new_id: ambient.new_id(),
            now_ms: now_ms(&**ambient),
            progress,
        };
        // Before a topic is made: a wrong --brokers must leave none in a cluster that has nothing to do with this directory.
        store::refuse_other_clusters_store(&directory.store(), &opening)?;
        let spec = TopicSpec { partitions, replication_factor: settings.replication_factor };
        topics::ensure(&kafka, A::TOPIC, &spec)?;
        let dir = settings.data_dir.display().to_string();
        let (topic, service, set_aside) = (A::TOPIC, A::SERVICE, Arc::default());
        let claimant = Claimant {
            own: OwnTopic { kafka, topic, service, partitions, dir, set_aside },
            cluster,
            instance: directory.instance(|| ambient.new_id())?,
            ambient: Arc::clone(ambient),
            took_none: BTreeSet::new(),
            sent: BTreeSet::new(),
        };
        Ok(Self { settings, directory, marker, marked, recover, opening, claimant })
    }

    fn upgrade(&self) -> Result<(), StartError> {
        if self.marked != Marked::Before || self.recover {
            return Ok(());
        }
        self.opening.progress.report("taking over a directory from before there was a journal");
        before::upgrade(&self.directory.store(), &self.directory.recovering()?, &self.opening)?;
        self.directory.recovered()?;
        self.directory.write_marker(&self.marker)?;
        self.directory.replace_store()?;
        Ok(())
    }

    /// What the directory has, unless that is to be rebuilt.
    fn find_store(&mut self) -> Result<Option<FoundStore>, StartError> {
        let (store, epoch) = (self.directory.store(), self.claimant.instance.epoch());
        self.opening.progress.report("opening journal and index");
        let found = match self.marked {
            Marked::Not => None,
            _ if self.recover => None,
            marked => store::find_store(&store, &self.opening, marked == Marked::Today)?,
        };
        if !self.recover && found.is_none() && epoch > 0 {
            // Who has claimed had a journal by then, or was about to make it of the log.
            return Err(KeptError::NothingKept { dir: store.display().to_string(), epoch }.into());
        }
        self.claimant.begin_log(found.as_ref().map(|found| &found.reader), self.recover);
        Ok(found)
    }

    /// Reads what it can. A broker that has just come back has no leaders for a moment.
    fn read_log(&self, found: Option<&FoundStore>) -> Result<OwnLog, StartError> {
        let (own, epoch) = (&self.claimant.own, self.claimant.instance.epoch());
        let nothing = || vec![Reached::default(); own.partitions as usize];
        let marks = found.map_or_else(nothing, |found| reconcile::marks(&found.reader));
        self.opening.progress.report("reading the end of the log");
        let began = Instant::now();
        loop {
            let log = OwnLog::read(own, &marks, epoch).map_err(|error| match error {
                CompareError::Incoming(error) if self.recover => RecoverError::Incoming(error).into(),
                error => StartError::from(error),
            })?;
            match log.whole() {
                Err(away) if began.elapsed() < ELECTION_MAX => self.opening.progress.report(away.to_string()),
                _ => return Ok(log),
            }
            thread::sleep(ELECTION_PAUSE);
        }
    }

    /// Refuses a start that needs more of the log than is there. It goes on although nobody answers for a partition, but not if
    /// the whole log is needed, and not if anybody else may write the topic: an old copy of the directory would decide again
    /// there what is decided.
    fn refuse_without_log(&self, mut found: Option<&mut FoundStore>, log: &OwnLog) -> Result<(), StartError> {
        if let Some(found) = found.as_mut().filter(|found| found.lacks_index().is_some()) {
            match self.can_be_built(log, None) {
                Err(
                    StartError::Away(_)
                    | StartError::Recover(RecoverError::Topic(TopicError::FrontDeleted { .. })),
                ) => {
                    found.make_do(&self.opening);
                }
                // Who could not be asked may have all of it.
                asked => asked.map_err(|error| error.for_index(found.lacks_index()))?,
            }
        }
        let Err(away) = log.whole() else { return Ok(()) };
        let (found, take_over) = (found.as_deref(), self.settings.take_over);
        if !take_over {
            self.claimant.refuse_others(log)?;
        }
        let is_simple = !self.recover && !take_over && found.is_some_and(FoundStore::is_sound);
        // Of a log of which nothing is known nobody can say who writes it.
        let is_simple = is_simple && log.known().next().is_some();
        if is_simple && log.epoch() <= self.claimant.instance.epoch() {
            tracing::warn!(
                "the start continues without a partition, whose commands are refused until it is back: {away}"
            );
            return Ok(());
        }
        Err(StartError::Away(away).for_index(found.and_then(FoundStore::lacks_index)))
    }

    fn compare(&self, found: Option<&FoundStore>, log: &OwnLog) -> Result<(), StartError> {
        let (own, whole) = (&self.claimant.own, log.whole());
        match found {
            Some(found) => {
                let whole = whole.as_ref().ok();
                whole.map_or(Ok(()), |whole| found.refuse_unsent_damage(whole))?;
                own.compare(&found.reader, found.recorded(whole)?, log)?;
            }
            None if self.recover => {}
            None => own.refuse_to_begin(&whole.map_err(StartError::Away)?)?,
        }
        if !self.settings.take_over {
            self.claimant.refuse_others(log)?;
        }
        Ok(())
    }

    /// Refuses what could not be brought to today's form, while the program before can still open the directory.
    fn bring_to_layout<A: Aggregate>(
        &self,
        found: Option<&mut FoundStore>,
        log: &OwnLog,
    ) -> Result<(), StartError> {
        if let (Marked::Earlier, Some(found)) = (self.marked, found) {
            if UniqueKeys::<A>::form() > 0 {
                found.read_through()?;
            }
            if let reason @ Some(_) = found.lacks_index() {
                self.can_be_built(log, reason)?;
            }
            found.note_digest()?;
        }
        // From here on no earlier program begins with what may be half of today's.
        if matches!(self.marked, Marked::Not | Marked::Earlier) {
            self.directory.write_marker(&self.marker)?;
        }
        Ok(())
    }

    /// Begins what can be begun before the claim: a disk that takes no new file is found out before anything is claimed.
    fn begin(&self, found: Option<FoundStore>, log: &OwnLog) -> Result<Beginning, StartError> {
        let (opening, whole) = (&self.opening, log.whole().ok());
        match found {
            None if self.recover => Ok(Beginning::Rebuilt),
            None => Ok(Beginning::Begun(Box::new(Begun::make(&self.directory.store(), opening)?))),
            Some(found) if found.continues_in_log(whole.as_ref())? => {
                self.can_be_built(log, found.lacks_index())?;
                Ok(Beginning::BehindLog(Box::new(found)))
            }
            Some(found) => {
                let begun = found.begin(opening, whole.as_ref())?;
                if let Err(reason) = &begun.index {
                    self.can_be_built(log, Some(reason))?;
                }
                Ok(Beginning::Begun(Box::new(begun)))
            }
        }
    }

    fn claim(&mut self, log: &mut OwnLog) -> Result<Claimed, StartError> {
        self.opening.progress.report("claiming the topic");
        let claimed = self.claimant.claim(log, &Patience::of_a_start())?;
        log.refuse_diverged()?;
        if self.settings.take_over {
            // Where it has no claim, the one that it fences has the last one.
            log.whole().map_err(StartError::Away)?;
        }
        Ok(claimed)
    }

    /// Journal and index, rebuilt from the log as far as that is needed, up to the claims.
    fn build<A: Aggregate>(&mut self, beginning: Beginning, log: &OwnLog) -> Result<Kept, StartError> {
        let (opening, kafka) = (&self.opening, &self.settings.kafka);
        // A partition that is lost meanwhile is missed by those only who need all.
        let whole = log.whole();
        let needed = || whole.as_ref().map_err(|away| StartError::Away(away.clone()));
        let begun = match beginning {
            Beginning::Begun(begun) => *begun,
            Beginning::BehindLog(found) => found.begin(opening, Some(needed()?))?,
            Beginning::Rebuilt => {
                let (log, directory) = (needed()?, &self.directory);
                let instance = &mut self.claimant.instance;
                recover::recover::<A>(kafka, directory, &self.marker, opening, log, instance)?;
                if let Err(error) = directory.note_recovered() {
                    tracing::warn!(%error, "a next start with --recover would rebuild the store once more");
                }
                let found = store::find_store(&directory.store(), opening, true)?;
                found.ok_or(RecoverError::Gone)?.begin(opening, Some(log))?
            }
        };
        if begun.index.is_err() {
            needed()?;
        }
        Ok(recover::with_index::<A>(begun, kafka, opening, whole.as_ref())?)
    }

    /// Refuses a log of which not all is there, where the index is to be built of it, for this reason if there is one.
    fn can_be_built(&self, log: &OwnLog, reason: Option<&str>) -> Result<(), StartError> {
        let OwnTopic { kafka, topic, partitions, .. } = &self.claimant.own;
        let whole = log.whole().map_err(StartError::Away);
        let built = whole.and_then(|_| Ok(recover::refuse_front_deleted(kafka, topic, *partitions)?));
        built.map_err(|error| error.for_index(reason))
    }
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

fn report_old_stores(directory: &Directory) -> Result<u64, StartError> {
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
