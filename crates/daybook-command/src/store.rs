//! What a service keeps itself: the journal, and the index that is made of it. Found, judged and begun with at every start.
//!
//! The journal is what counts. An index that cannot be opened, or cannot be brought to where the journal is, is put aside
//! and built again from the log and the journal; see `recover`.

pub(crate) mod before;
pub(crate) mod directory;
mod end;
pub(crate) mod fields;
mod found_index;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_journal::{
    AppendError, Beginning, Found, Group, Identity, Journal, LogEnd, PartitionState, RECORD_BYTES_MAX,
    ReadError, Reader, Settings, Tail, find,
};
use daybook_store::Store;
pub(crate) use end::KeptError;
use end::{Ends, Judged, Missing, judge};
use found_index::{FoundIndex, counters};
pub(crate) use found_index::{counter, put_aside, takes_writes};
use uuid::Uuid;

use crate::fencing::{OwnPartition, WholeLog};
use crate::reconcile::{self, Recorded};
use crate::run::StartProgress;
use crate::store::directory::{INDEX, JOURNAL};
use crate::store::index::{CommitError, Done, Reach, Syncing};
use crate::store::keys::LAYOUT;
use crate::store::rows::Counter;

/// Whose they are, and when they are opened.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) topic: String,
    /// Id of the Kafka cluster; empty if it has none.
    pub(crate) cluster: String,
    /// Whether that may be another one than before.
    pub(crate) adopt_cluster: bool,
    pub(crate) partitions: i32,
    pub(crate) cache_bytes_max: u64,
    pub(crate) new_id: Uuid,
    pub(crate) now_ms: u64,
    pub(crate) progress: &'a StartProgress,
}

/// What a directory has, before anything of it is changed.
pub(crate) struct FoundStore {
    dir: PathBuf,
    found: Found,
    pub(crate) reader: Reader,
    index: FoundIndex,
}

/// Finds what the directory `store` has. None if there is no journal yet, and nothing that was made of one.
/// `of_today` says whether its index has a digest, or has lost it.
pub(crate) fn find_store(
    dir: &Path,
    opening: &Opening<'_>,
    of_today: bool,
) -> Result<Option<FoundStore>, KeptError> {
    let found = find(&dir.join(JOURNAL))?;
    let index = FoundIndex::find(dir, opening, of_today)?;
    let of = match &index {
        FoundIndex::Open { done, .. } => done.map(|done| done.journal),
        FoundIndex::Unusable(_) | FoundIndex::Unreadable(_) => None,
    };
    refuse_other_cluster(dir, &found, opening)?;
    let journal = found.id();
    if let Some(index) = of.filter(|of| Some(*of) != journal) {
        let dir = dir.display().to_string();
        return Err(match journal {
            Some(journal) => KeptError::OtherJournal { dir, index, journal },
            None => KeptError::NoJournal { dir, index },
        });
    }
    if journal.is_none() {
        return Ok(None);
    }
    let reader = found.clone().into_reader();
    Ok(Some(FoundStore { dir: dir.to_owned(), found, reader, index }))
}

/// Refuses a directory `store` whose journal, as far as it can be read, is of another cluster: what it has not sent belongs to
/// that one, also where it is made again.
pub(crate) fn refuse_other_clusters_store(dir: &Path, opening: &Opening<'_>) -> Result<(), KeptError> {
    match daybook_journal::find_readable(&dir.join(JOURNAL)) {
        Ok(found) => refuse_other_cluster(dir, &found, opening),
        // Whether that is to be given up, is asked later.
        Err(_) => Ok(()),
    }
}

/// A log of another cluster is another log, whatever its topics are called.
fn refuse_other_cluster(dir: &Path, found: &Found, opening: &Opening<'_>) -> Result<(), KeptError> {
    let known = found.identity().map(|identity| &*identity.cluster).filter(|known| !known.is_empty());
    match known {
        Some(known) if known != opening.cluster && !opening.cluster.is_empty() && !opening.adopt_cluster => {
            Err(KeptError::OtherCluster {
                dir: dir.display().to_string(),
                known: known.to_owned(),
                found: opening.cluster.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

impl FoundStore {
    /// What the journal says of all partitions; where it has lost its end and the log has it, as the log says.
    pub(crate) fn recorded(&self, log: Option<&WholeLog<'_>>) -> Result<Vec<Recorded>, KeptError> {
        let mut recorded = reconcile::recorded(&self.reader);
        for (recorded, end) in recorded.iter_mut().zip(self.in_log(log)?.unwrap_or_default()) {
            if end.next > recorded.counter.next {
                recorded.counter = Counter { next: end.next, last_id: end.last_id };
                recorded.kept_from = end.next;
            }
        }
        Ok(recorded)
    }

    /// A part of the journal that cannot be read is done without where the log has all that was decided in it. What the index
    /// took of it, the index has or it is built again.
    pub(crate) fn refuse_unsent_damage(&self, log: &WholeLog<'_>) -> Result<(), KeptError> {
        let damage: Vec<_> = self.found.damage().map(ToString::to_string).collect();
        if damage.is_empty() {
            return Ok(());
        }
        let states = self.reader.partitions();
        let partitions = states.iter().zip(ends_of(&log.tails())).enumerate();
        let missing = partitions.flat_map(|(partition, (state, end))| {
            let missing = self.reader.missing(partition, end.next..state.next.max(end.next));
            missing.into_iter().map(move |positions| (partition, positions.start..=positions.end - 1))
        });
        let missing = Missing(missing.collect());
        if !missing.0.is_empty() {
            return Err(KeptError::Unsent { damage: damage.join("; "), missing });
        }
        self.refuse_unknown_ends(log, &damage)?;
        for damage in damage {
            tracing::error!(
                store = %self.dir.display(),
                "{damage}. The log has all events that were decided there, and the service continues with the journal; what became of requests with \
                 idempotency keys in it is not known any more"
            );
        }
        Ok(())
    }

    /// Where the log ends with an event that Kafka never acknowledged here, and that is gone with the damage, the log may be
    /// another writer's, and what comes next does not belong behind it.
    fn refuse_unknown_ends(&self, log: &WholeLog<'_>, damage: &[String]) -> Result<(), KeptError> {
        let states = self.reader.partitions();
        for (partition, (state, end)) in states.iter().zip(ends_of(&log.tails())).enumerate() {
            let Some(position) = end.next.checked_sub(1).filter(|_| end.next < state.next) else { continue };
            let is_known = state.acknowledged >= end.next
                || self.reader.missing(partition, position..end.next).is_empty();
            if !is_known {
                return Err(KeptError::Unknown { damage: damage.join("; "), partition, position });
            }
        }
        Ok(())
    }

    /// Whether nothing is wrong with them, so that no more of the log is needed than what is compared partition by partition.
    pub(crate) fn is_sound(&self) -> bool {
        let is_ahead = |done: &Option<Done>| done.is_some_and(|done| done.number > self.found.last_number());
        matches!(&self.index, FoundIndex::Open { done, .. } if !is_ahead(done))
            && !matches!(self.found.tail(), Tail::Torn { .. })
            && self.found.damage().next().is_none()
            && self.found.lost_newest().is_none()
    }

    /// What the log has, if the journal has lost its end and goes on behind that. Without the whole log it was found sound.
    fn in_log(&self, log: Option<&WholeLog<'_>>) -> Result<Option<Vec<LogEnd>>, KeptError> {
        let Some(log) = log else { return Ok(None) };
        let tails = log.tails();
        let (number, counters) = match &self.index {
            FoundIndex::Open { done, counters, .. } => {
                (done.map_or(0, |done| done.number), Some(&counters[..]))
            }
            FoundIndex::Unusable(_) | FoundIndex::Unreadable(_) => (0, None),
        };
        let states = self.reader.partitions();
        let ends = Ends {
            journal: &states.iter().map(|state| state.next).collect::<Vec<_>>(),
            index: counters.map(|counters| counters.iter().map(|counter| counter.next).collect()),
            log: &tails.iter().map(|tail| tail.map_or(0, |tail| tail.position + 1)).collect::<Vec<_>>(),
            is_torn: matches!(self.found.tail(), Tail::Torn { .. }),
            continues: states.iter().zip(log.partitions()).all(|(state, at)| continues(state, at)),
            index_is_ahead: number > self.found.last_number(),
        };
        match judge(&ends) {
            Ok(Judged::Whole) => self.found.lost_newest().map_or(Ok(None), |lost| Err(lost.into())),
            Ok(Judged::InLog) => Ok(Some(ends_of(&tails))),
            Err(missing) => Err(KeptError::End { dir: self.dir.display().to_string(), missing }),
        }
    }

    /// Whether the journal has lost its end and is to go on behind what the log has: then it begins once the topic is claimed. Until
    /// then what an earlier process had under way may land there.
    pub(crate) fn goes_on_in_log(&self, log: Option<&WholeLog<'_>>) -> Result<bool, KeptError> {
        let continues = self.in_log(log)?.is_some();
        if continues {
            let untaken = |source| KeptError::Aside { dir: self.dir.clone(), source };
            takes_writes(&self.dir).map_err(untaken)?;
        }
        Ok(continues)
    }

    /// Begins to write the journal, in a new file, and does again what the index may not have.
    pub(crate) fn begin(
        mut self,
        opening: &Opening<'_>,
        log: Option<&WholeLog<'_>>,
    ) -> Result<Begun, KeptError> {
        opening.progress.report("doing again what the journal has and the store may not have");
        let in_log = self.in_log(log)?;
        let reach = Reach { last: self.found.last_number(), synced: self.found.index_synced() };
        if in_log.is_some() {
            tracing::error!(
                store = %self.dir.display(),
                after_record = reach.last,
                "the journal has lost its end; the events of it that are known of are all in the log, but not what may have been decided \
                 after them, and what became of requests with idempotency keys in it is not known any more"
            );
        }
        if let Tail::Torn { segment, byte, number, damaged } = self.found.tail() {
            tracing::warn!(
                store = %self.dir.display(),
                "segment {segment} of the journal ends at byte {byte} with what is no whole record ({damaged}); it is cut off. A power cut \
                 leaves that of record {number} if it was not acknowledged. If there was none, the disk has lost what the journal ended \
                 with, and commands that were answered last may be lost"
            );
        }
        if in_log.is_some() && self.dir.join(INDEX).exists() {
            // Before the journal says that it has all: an index that lacks something must not be found beside it.
            drop(self.index);
            put_aside(&self.dir).map_err(|source| KeptError::Aside { dir: self.dir.clone(), source })?;
            self.index = FoundIndex::Unusable("the journal has lost its end".to_owned());
        }
        let journal = begin_journal(self.found, opening, &[], in_log.as_deref().unwrap_or_default())?;
        let index = match (self.index, in_log) {
            (_, Some(_)) => Err("the journal has lost its end".to_owned()),
            (FoundIndex::Unusable(reason) | FoundIndex::Unreadable(reason), None) => Err(reason),
            (FoundIndex::Open { store, .. }, None) => redo(store, &journal.reader(), reach, &self.dir)?,
        };
        Ok(Begun { dir: self.dir, journal, index })
    }
}

fn redo(
    store: Arc<Store>,
    journal: &Reader,
    reach: Reach,
    dir: &Path,
) -> Result<Result<Arc<Store>, String>, KeptError> {
    let redone = index::redo(&store, journal, reach).and_then(|done| Ok(store.sync().map(|()| done)?));
    match redone {
        Ok(done) => {
            if done > 0 {
                tracing::info!(records = done, "the store was brought to where the journal is");
            }
            let counters = counters(&store, journal.partitions().len() as i32)?;
            // What a record does not say, such as what was taken over or taken from the log, it cannot do again.
            if counters == reconcile::counters(journal) {
                Ok(Ok(store))
            } else {
                Ok(Err("it lacks events that the journal counts".to_owned()))
            }
        }
        Err(CommitError::Record(error @ ReadError::Io { .. })) => Err(error.into()),
        Err(CommitError::Store(error)) if !error.is_damage() || takes_writes(dir).is_err() => {
            Err(error.into())
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn begin_journal(
    found: Found,
    opening: &Opening<'_>,
    initial: &[PartitionState],
    in_log: &[LogEnd],
) -> Result<Journal, KeptError> {
    let identity = Identity {
        topic: opening.topic.to_owned(),
        cluster: opening.cluster.to_owned(),
        layout: LAYOUT,
        partitions: opening.partitions,
    };
    let Opening { new_id, now_ms, .. } = *opening;
    let beginning = Beginning { identity: &identity, new_id, initial, in_log, now_ms };
    Ok(found.begin(&beginning, &Settings::default())?)
}

/// Makes a journal in an empty place, where partitions stand like this.
pub(crate) fn make_journal(
    dir: &Path,
    opening: &Opening<'_>,
    initial: &[PartitionState],
) -> Result<Journal, KeptError> {
    begin_journal(find(&dir.join(JOURNAL))?, opening, initial, &[])
}

/// A journal, and a group on its way into it.
pub(crate) struct Filling {
    pub(crate) journal: Journal,
    group: Group,
    bytes: usize,
    now_ms: u64,
}

impl Filling {
    pub(crate) fn new(journal: Journal, now_ms: u64) -> Self {
        Self { journal, group: Group::default(), bytes: 0, now_ms }
    }

    /// Adds something of so many bytes to the group.
    pub(crate) fn add(&mut self, bytes: usize, add: impl FnOnce(&mut Group)) -> Result<(), AppendError> {
        if self.bytes + bytes > RECORD_BYTES_MAX / 2 {
            self.write()?;
        }
        self.bytes += bytes;
        add(&mut self.group);
        Ok(())
    }

    pub(crate) fn write(&mut self) -> Result<(), AppendError> {
        let group = std::mem::take(&mut self.group);
        self.bytes = 0;
        if !(group.events.is_empty() && group.keys.is_empty()) {
            self.journal.append(group, self.now_ms)?;
        }
        Ok(())
    }
}

fn ends_of(tails: &[Option<reconcile::Tail>]) -> Vec<LogEnd> {
    let end = |tail: &Option<reconcile::Tail>| LogEnd {
        next: tail.map_or(0, |tail| tail.position + 1),
        last_id: tail.map(|tail| tail.id),
    };
    tails.iter().map(end).collect()
}

/// Whether the log's events go on where the journal's end: it has the journal's last one at its place.
fn continues(state: &PartitionState, at: &OwnPartition) -> bool {
    let (Some(last), Some(id)) = (state.next.checked_sub(1), state.last_id) else { return true };
    let is_longer = at.state.next_position() > state.next;
    !is_longer || at.state.sequence().check(u32::MAX, last, id, None).is_ok()
}

/// A journal that takes records, and its index, unless that is to be built again for the reason given.
pub(crate) struct Begun {
    pub(crate) dir: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) index: Result<Arc<Store>, String>,
}

impl Begun {
    pub(crate) fn make(dir: &Path, opening: &Opening<'_>) -> Result<Self, KeptError> {
        let initial = vec![PartitionState::default(); opening.partitions.max(0) as usize];
        let journal = make_journal(dir, opening, &initial)?;
        let store = Store::open(&dir.join(INDEX), opening.cache_bytes_max)?;
        Ok(Self { dir: dir.to_owned(), journal, index: Ok(Arc::new(store)) })
    }
}

/// Journal and index, where the index has all that the journal has.
pub(crate) struct Kept {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Journal,
    pub(crate) syncing: Arc<Syncing>,
}

impl Kept {
    /// The index is on disk up to the journal's end.
    pub(crate) fn new(store: Arc<Store>, mut journal: Journal, dir: PathBuf) -> Self {
        journal.index_synced(journal.last_number());
        let syncing = Arc::new(Syncing::new(Arc::clone(&store), journal.last_number(), dir));
        Self { store, journal, syncing }
    }
}
