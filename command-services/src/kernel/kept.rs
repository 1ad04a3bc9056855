//! What a service keeps itself: the journal, and the index that is made of it. Found, judged and begun with at every start.
//!
//! The journal is what counts. An index that cannot be opened, or cannot be brought to where the journal is, is put aside
//! and built again from the log and the journal; see `rebuilt`.

mod aside;
mod end;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_journal::{
    Beginning, Found, Identity, Journal, LogEnd, OpenError, PartitionState, ReadError, Reader, Settings,
    Tail, find,
};
use uuid::Uuid;

use super::directory::{index_of, journal_of};
use super::group::GroupError;
use super::index::{self, Done, Reach, RedoError, Syncing};
use super::keys;
use super::keys::LAYOUT;
use super::log_tail;
use super::recorded::{self, Recorded};
use super::rows::Counter;
use super::starting::Starting;
use super::store::{EIO, Store, StoreError};
pub(crate) use aside::{put_aside, takes_writes};
use end::{Ends, Judged, MissingEnd, judge};

/// What helps where bytes are not what they were.
const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

/// Why journal and index cannot be begun with.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The journal cannot be opened.
    #[error("{}{}", .0, remedy(.0))]
    Journal(#[from] OpenError),
    /// The index cannot be opened, read or written, and that is for the disk to mend.
    #[error("{0}; the store was being opened{REMEDY}")]
    Store(#[from] GroupError),
    /// What the index needs cannot be read from the journal.
    #[error("{0}{REMEDY}")]
    Read(#[from] ReadError),
    /// The index was made of another journal.
    #[error(
        "the store in {dir} was made of journal {index}, and the journal beside it is {journal}: bring back what belongs together, or \
         move {dir}/index away, which is built again from the log and the journal"
    )]
    OtherJournal {
        /// The store's directory.
        dir: String,
        /// The journal that the index is made of.
        index: Uuid,
        /// The journal that is there; nil if there is none.
        journal: Uuid,
    },
    /// The end of the journal is gone, and not all of it is in the log.
    #[error("the journal in {dir} has lost its end: {missing}{REMEDY}")]
    End {
        /// The store's directory.
        dir: String,
        /// What is missing.
        missing: MissingEnd,
    },
}

impl KeptError {
    /// Whether the disk does not do as asked, so that another attempt may succeed.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Journal(OpenError::Io { source, .. }) | Self::Read(ReadError::Io { source, .. }) => {
                is_of_the_disk(source)
            }
            Self::Store(error) => !error.is_damage(),
            _ => false,
        }
    }
}

/// Whether a disk that is full, read-only or failing is at fault.
pub(crate) fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut};
    let of_the_disk = [FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut];
    of_the_disk.contains(&error.kind()) || error.raw_os_error() == Some(EIO)
}

fn remedy(error: &OpenError) -> &'static str {
    if error.is_damage() { REMEDY } else { "" }
}

impl From<StoreError> for KeptError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// Whose they are, and when they are opened.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    /// Full name of the own topic.
    pub(crate) topic: &'a str,
    pub(crate) partitions: i32,
    pub(crate) cache_bytes_max: u64,
    /// Id of a journal that is made anew.
    pub(crate) new_id: Uuid,
    /// In milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// Is told how far it is.
    pub(crate) starting: &'a Starting,
}

/// What a directory has, before anything of it is changed.
pub(crate) struct Looked {
    dir: PathBuf,
    found: Found,
    pub(crate) reader: Reader,
    index: FoundIndex,
}

enum FoundIndex {
    /// It can be opened.
    Open { store: Arc<Store>, done: Option<Done>, counters: Vec<Counter> },
    /// It is to be built again, for this reason.
    Unusable(String),
}

/// Looks at the directory `store`. None if there is no journal yet, and nothing that was made of one.
pub(crate) fn look(dir: &Path, opening: &Opening<'_>) -> Result<Option<Looked>, KeptError> {
    let found = find(&journal_of(dir))?;
    let index = open_index(dir, opening)?;
    let of = match &index {
        FoundIndex::Open { done, .. } => done.map(|done| done.journal),
        FoundIndex::Unusable(_) => None,
    };
    let journal = found.id();
    if let Some(index) = of.filter(|of| Some(*of) != journal) {
        let (dir, journal) = (dir.display().to_string(), journal.unwrap_or_default());
        return Err(KeptError::OtherJournal { dir, index, journal });
    }
    if journal.is_none() {
        return Ok(None);
    }
    let reader = find(&journal_of(dir))?.into_reader();
    Ok(Some(Looked { dir: dir.to_owned(), found, reader, index }))
}

fn open_index(dir: &Path, opening: &Opening<'_>) -> Result<FoundIndex, KeptError> {
    let path = index_of(dir);
    if !path.exists() {
        return Ok(FoundIndex::Unusable("there is none".to_owned()));
    }
    let opened = Store::open(&path, opening.cache_bytes_max).map_err(GroupError::from);
    let opened = opened.and_then(|store| {
        let done = index::done(&store)?;
        let counters = (0..opening.partitions).map(|partition| counter(&store, partition));
        let counters = counters.collect::<Result<_, GroupError>>()?;
        Ok(FoundIndex::Open { store: Arc::new(store), done, counters })
    });
    opened.or_else(|error| match error.is_damage() && takes_writes(dir).is_ok() {
        true => Ok(FoundIndex::Unusable(error.to_string())),
        false => Err(error.into()),
    })
}

/// Where a partition stands as an index has it.
pub(crate) fn counter(store: &Store, partition: i32) -> Result<Counter, GroupError> {
    let row = store.get(&keys::counter(partition))?;
    Ok(row.map(|row| Counter::decode(&row)).transpose()?.unwrap_or_default())
}

impl Looked {
    /// What the journal says of all partitions; where it has lost its end and the log has it, as the log says. `tails` is
    /// what the log has of this service's own.
    pub(crate) fn recorded(&self, tails: &[Option<log_tail::Tail>]) -> Result<Vec<Recorded>, KeptError> {
        let mut recorded = recorded::recorded(&self.reader);
        for (recorded, end) in recorded.iter_mut().zip(self.in_log(tails)?.unwrap_or_default()) {
            if end.next > recorded.counter.next {
                recorded.counter = Counter { next: end.next, last_id: end.last_id };
                recorded.kept_from = end.next;
            }
        }
        Ok(recorded)
    }

    /// What the log has, if the journal has lost its end and goes on behind that.
    fn in_log(&self, tails: &[Option<log_tail::Tail>]) -> Result<Option<Vec<LogEnd>>, KeptError> {
        let (number, counters) = match &self.index {
            FoundIndex::Open { done, counters, .. } => {
                (done.map_or(0, |done| done.number), Some(&counters[..]))
            }
            FoundIndex::Unusable(_) => (0, None),
        };
        let states = self.reader.partitions();
        let ends = Ends {
            journal: &states.iter().map(|state| state.next).collect::<Vec<_>>(),
            index: counters.map(|counters| counters.iter().map(|counter| counter.next).collect()),
            log: &tails.iter().map(|tail| tail.map_or(0, |tail| tail.position + 1)).collect::<Vec<_>>(),
            is_torn: matches!(self.found.tail(), Tail::Torn { .. }),
            index_is_ahead: number > self.found.last_number(),
        };
        match judge(&ends) {
            Ok(Judged::Whole) => Ok(None),
            Ok(Judged::InLog) => {
                let end = |tail: &Option<log_tail::Tail>| LogEnd {
                    next: tail.map_or(0, |tail| tail.position + 1),
                    last_id: tail.map(|tail| tail.id),
                };
                Ok(Some(tails.iter().map(end).collect()))
            }
            Err(missing) => Err(KeptError::End { dir: self.dir.display().to_string(), missing }),
        }
    }

    /// Begins to write the journal, in a new file, and does again what the index may not have.
    pub(crate) fn begin(
        self,
        opening: &Opening<'_>,
        tails: &[Option<log_tail::Tail>],
    ) -> Result<Begun, KeptError> {
        opening.starting.says("doing again what the journal has and the store may not have");
        let in_log = self.in_log(tails)?;
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
                 leaves that of record {number} if nobody was told of it. If there was none, the disk has lost what the journal ended \
                 with, and commands that were answered last may be lost"
            );
        }
        let journal = begin_journal(self.found, opening, &[], in_log.as_deref().unwrap_or_default())?;
        let index = match (self.index, in_log) {
            (_, Some(_)) => Err("the journal has lost its end".to_owned()),
            (FoundIndex::Unusable(reason), None) => Err(reason),
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
            Ok(Ok(store))
        }
        Err(RedoError::Store(error)) if !error.is_damage() || takes_writes(dir).is_err() => Err(error.into()),
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
        cluster: String::new(),
        layout: LAYOUT,
        partitions: opening.partitions,
    };
    let Opening { new_id, now_ms, .. } = *opening;
    let beginning = Beginning { identity: &identity, index_number: 0, new_id, initial, in_log, now_ms };
    Ok(found.begin(&beginning, &Settings::default())?)
}

/// Makes a journal in an empty place, where partitions stand like this.
pub(crate) fn make_journal(
    dir: &Path,
    opening: &Opening<'_>,
    initial: &[PartitionState],
) -> Result<Journal, KeptError> {
    begin_journal(find(&journal_of(dir))?, opening, initial, &[])
}

/// A journal that takes records, and its index, unless that is to be built again for the reason given.
pub(crate) struct Begun {
    pub(crate) dir: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) index: Result<Arc<Store>, String>,
}

impl Begun {
    /// Makes both, in an empty place.
    pub(crate) fn make(dir: &Path, opening: &Opening<'_>) -> Result<Self, KeptError> {
        let initial = vec![PartitionState::default(); opening.partitions.max(0) as usize];
        let journal = make_journal(dir, opening, &initial)?;
        let store = Store::open(&index_of(dir), opening.cache_bytes_max)?;
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
