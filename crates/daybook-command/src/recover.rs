//! What is rebuilt from the own topic, from offset zero to this process's claims, beside what is there.
//!
//! An index of no more use is built again from the log and from what the journal has beyond it. `--recover` makes the
//! journal again as well: events that the old one has not sent are taken over, where they can still be read and fit behind
//! the log's end. What else the log does not have is not rebuilt: idempotency keys are forgotten, sent events are no longer
//! kept.
//!
//! Memory is bounded by the store's cache, the rows gathered for it, twice (see `gathered`), and what a reader fetches ahead. A
//! process that is killed meanwhile leaves what was there in its place, and the next one begins again.

mod gathered;
mod old_outbox;
mod rebuild;
mod take_over;

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use daybook_event::sequence::Reached;
use daybook_journal::{AppendError, PartitionState, ReadError};
use daybook_kafka::topics::{self, TopicError};
use daybook_kafka::{Kafka, LogError, Record, Span, Start, read_spans};
use daybook_store::files::sync_dir;
use daybook_store::{Store, StoreError};
use old_outbox::OldOutbox;
use rebuild::Rebuild;
use take_over::{report, take_over};

use crate::aggregate::Aggregate;
use crate::fencing::{Instance, WholeLog};
use crate::incoming::{self, IncomingError, IncomingFault};
use crate::reconcile::{self, Tail, events_from};
use crate::store::directory::{BUILDING, Directory, DirectoryError, INDEX, Marker};
use crate::store::fields::Damaged;
use crate::store::{self, Begun, Filling, Kept, KeptError, Opening, takes_writes};

/// How long the log may stay silent before that counts as a failure.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const PROGRESS_PAUSE: Duration = Duration::from_secs(3);

/// Why the store could not be rebuilt. The old journal is untouched then.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("{0}")]
    Topic(#[from] TopicError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error(
        "topic {topic} partition {partition} had {compared} event(s) when this process claimed it, and now has {read}: its \
         end is lost or was written again; check the brokers' logs and start again"
    )]
    Changed { topic: String, partition: i32, compared: u64, read: u64 },
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error("the new store cannot be built: {0}")]
    Fault(#[from] Box<IncomingFault>),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("a rebuilt state cannot be written: {0}")]
    State(#[from] serde_json::Error),
    #[error("the new store cannot be put into its place: {0}")]
    Place(#[from] io::Error),
    #[error(
        "position {position} of partition {partition} is not in the log and cannot be read from the journal ({detail}); keep a copy \
         of the directory, then start with --recover, which takes over what can be read and names what cannot"
    )]
    Unreadable { partition: usize, position: u64, detail: String },
    #[error("the journal cannot be read: {0}")]
    ReadOne(#[from] ReadError),
    #[error(
        "the old journal cannot be read: {0}; commands that were answered and not sent to Kafka may be in it, so see what is wrong with \
         the disk. If nothing brings it back, move {1} away, and start with --recover once more, which gives up what only it had"
    )]
    OldUnreadable(String, String),
    #[error("the new journal cannot be written: {0}")]
    Append(#[from] AppendError),
    #[error("{0}")]
    Kept(#[from] Box<KeptError>),
    #[error("what was rebuilt is not there any more: another process changes the directory")]
    Gone,
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl RecoverError {
    /// Whether what is there is not what was written: another attempt would not help.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_)) || matches!(self, Self::Store(error) if error.is_damage())
    }
}

impl From<KeptError> for RecoverError {
    fn from(error: KeptError) -> Self {
        Self::Kept(Box::new(error))
    }
}

impl From<IncomingFault> for RecoverError {
    fn from(fault: IncomingFault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// What was begun with, and its index: built again if there is none that can be used.
pub(crate) fn with_index<A: Aggregate>(
    begun: Begun,
    kafka: &Kafka,
    opening: &Opening<'_>,
    log: Result<&WholeLog<'_>, &TopicError>,
) -> Result<Kept, RecoverError> {
    let Begun { dir, journal, index, .. } = begun;
    let reason = match index {
        Ok(store) => match gathered::bring_to_form::<A>(&store, journal.last_number(), opening) {
            Ok(()) => return Ok(Kept::new(store, journal, dir)),
            Err(error) if error.is_damage() && takes_writes(&dir).is_ok() => {
                refuse_front_deleted(kafka, A::TOPIC, opening.partitions)?;
                error.to_string()
            }
            Err(error) => return Err(error),
        },
        Err(reason) => reason,
    };
    let log = log.map_err(Clone::clone)?;
    tracing::warn!(
        topic = opening.topic,
        reason,
        "the store's index is built again from the log and the journal"
    );
    let (began, building) = (Instant::now(), dir.join(BUILDING));
    if building.exists() {
        fs::remove_dir_all(&building)?;
    }
    // First, so that there are never three.
    if dir.join(INDEX).exists() {
        let aside = store::put_aside(&dir)?;
        tracing::warn!(aside = %aside.display(), "the unusable index is kept aside");
    }
    let store = Arc::new(Store::open(&building, opening.cache_bytes_max)?);
    let mut rebuild = read::<A>(&store, kafka, log, opening, |_, _| {})?;
    let tails = rebuild.tails();
    let reader = journal.reader();
    for (partition, end) in reconcile::counters(&reader).iter().enumerate() {
        let mut at = tails.get(partition).copied().flatten().map_or(0, |tail| tail.position + 1);
        while at < end.next {
            let unreadable = |detail| RecoverError::Unreadable { partition, position: at, detail };
            let run = events_from(&reader, partition, at, end.next);
            let run = run.map_err(|error| match error {
                error @ ReadError::Io { .. } => error.into(),
                error @ ReadError::Damaged { .. } => unreadable(error.to_string()),
            })?;
            if run.is_empty() {
                return Err(unreadable("it is not there".to_owned()));
            }
            for event in &run {
                rebuild.append::<A>(partition as i32, &event.value)?;
            }
            at += run.len() as u64;
        }
    }
    rebuild.build_unique_keys::<A>()?;
    rebuild.finish::<A>(journal.last_number(), journal.id())?;
    let events = rebuild.done;
    store.close()?;
    fs::rename(&building, dir.join(INDEX))?;
    sync_dir(&dir)?;
    let store = Arc::new(Store::open(&dir.join(INDEX), opening.cache_bytes_max)?);
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(topic = opening.topic, events, seconds, "the store's index was built again");
    Ok(Kept::new(store, journal, dir))
}

/// Rebuilds journal and index from exactly that and puts them in the place of the old ones.
pub(crate) fn recover<A: Aggregate>(
    kafka: &Kafka,
    directory: &Directory,
    marker: &Marker,
    opening: &Opening<'_>,
    log: &WholeLog<'_>,
    instance: &mut Instance,
) -> Result<(), RecoverError> {
    let (began, partitions) = (Instant::now(), opening.partitions);
    refuse_front_deleted(kafka, A::TOPIC, partitions)?;
    let mut old = OldOutbox::open(&directory.store(), partitions, opening.cache_bytes_max);
    if let OldOutbox::Unreadable(reason) = &old {
        return Err(RecoverError::OldUnreadable(reason.clone(), directory.store().display().to_string()));
    }
    let recovering = directory.recovering()?;
    let journal = store::make_journal(&recovering, opening, &states(log))?;
    let store = Arc::new(Store::open(&recovering.join(INDEX), opening.cache_bytes_max)?);
    let compare = |partition, logged| old.compare(partition, logged);
    let mut rebuild = read::<A>(&store, kafka, log, opening, compare)?;
    let tails = rebuild.tails();
    let mut into = Filling::new(journal, opening.now_ms);
    let fates = match &old {
        OldOutbox::Open(old) => take_over::<A>(old, &mut rebuild, &mut into, &tails)?,
        OldOutbox::Absent | OldOutbox::Unreadable(_) => Vec::new(),
    };
    let mut journal = into.journal;
    rebuild.build_unique_keys::<A>()?;
    rebuild.finish::<A>(journal.last_number(), journal.id())?;
    let events = rebuild.done;
    store.close()?;
    journal.index_synced(journal.last_number());
    journal.close(opening.now_ms)?;
    // Not of the old store, which stays in its place if this process ends here.
    let log_id = rebuild.log_id().or(instance.log_id());
    instance.note_log(None)?;
    directory.recovered()?;
    // The marker of a store from before changes once there is something to replace it, and before it is replaced.
    directory.write_marker(marker)?;
    let aside = directory.replace_store()?;
    instance.note_log(log_id)?;
    report(&opening.topic, &old, aside.as_deref(), &fates);
    tracing::warn!(
        topic = A::TOPIC,
        "--recover has forgotten all idempotency keys; start without it from now on"
    );
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(topic = A::TOPIC, events, seconds, "the store was rebuilt from the log");
    Ok(())
}

/// What a new journal begins behind.
fn states(log: &WholeLog<'_>) -> Vec<PartitionState> {
    let state = |reached: &Reached| PartitionState {
        next: reached.next_position,
        last_id: reached.last_id,
        acknowledged: reached.next_position,
        mark: reconcile::mark(reached),
    };
    log.reached().iter().map(state).collect()
}

/// Refuses if the log does not go back to its first event any more.
pub(crate) fn refuse_front_deleted(kafka: &Kafka, topic: &str, partitions: i32) -> Result<(), RecoverError> {
    let all: Vec<_> = (0..partitions).map(|partition| (topic, partition)).collect();
    for (partition, marks) in (0..).zip(topics::all_watermarks(kafka, &all)?) {
        if marks.low > 0 {
            let topic = kafka.topic_name(topic);
            return Err(TopicError::FrontDeleted { topic, partition, low: marks.low }.into());
        }
    }
    Ok(())
}

/// A store that is shorter than the log would give positions out again.
fn refuse_changed(topic: &str, compared: &[Option<Tail>], read: &[Option<Tail>]) -> Result<(), RecoverError> {
    let events = |tail: &Option<Tail>| tail.map_or(0, |tail| tail.position + 1);
    let mut both = (0..).zip(compared.iter().zip(read));
    match both.find(|(_, (compared, read))| compared != read) {
        None => Ok(()),
        Some((partition, (compared, read))) => {
            let (topic, compared, read) = (topic.to_owned(), events(compared), events(read));
            Err(RecoverError::Changed { topic, partition, compared, read })
        }
    }
}

/// Reads every partition into an empty store, up to the claims; `seen` gets every event.
fn read<A: Aggregate>(
    store: &Arc<Store>,
    kafka: &Kafka,
    log: &WholeLog<'_>,
    opening: &Opening<'_>,
    mut seen: impl FnMut(i32, Tail),
) -> Result<Rebuild, RecoverError> {
    let (ends, progress) = (log.ends(), opening.progress);
    let mut rebuild = Rebuild::new::<A>(store, opening.partitions);
    let total = ends.iter().sum::<i64>();
    let span =
        |(partition, end)| Span { start: Start { topic: A::TOPIC.to_owned(), partition, offset: 0 }, end };
    let spans: Vec<_> = (0..).zip(ends).map(span).collect();
    let mut reported_at = Instant::now();
    progress.report("rebuilding the store from the log");
    read_spans(kafka, &spans, SILENCE_MAX, |record| {
        let taken = rebuild.take::<A>(record).map_err(|error| located(error, record, kafka))?;
        if let Some(logged) = taken {
            seen(record.partition(), logged);
        }
        if reported_at.elapsed() >= PROGRESS_PAUSE {
            reported_at = Instant::now();
            progress
                .report(format!("rebuilding the store from the log, {} of {total} records", rebuild.done));
            tracing::info!(topic = A::TOPIC, done = rebuild.done, total, "rebuilding the store from the log");
        }
        Ok::<_, RecoverError>(())
    })?;
    refuse_changed(&opening.topic, &log.tails(), &rebuild.tails())?;
    Ok(rebuild)
}

fn located(error: RecoverError, record: &Record<'_>, kafka: &Kafka) -> RecoverError {
    match error {
        RecoverError::Fault(fault) => {
            IncomingError { at: incoming::at(record, &kafka.topic_prefix), fault }.into()
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_rebuilt_store_that_is_not_what_the_claim_was_compared_with_is_refused() {
        let tail = |position, id| Some(Tail { position, id: Uuid::from_u128(id) });
        let compared = [None, tail(4, 1)];
        refuse_changed("t", &compared, &compared).unwrap();
        let said = refuse_changed("t", &compared, &[None, tail(3, 2)]).unwrap_err().to_string();
        assert!(said.contains("topic t partition 1 had 5 event(s)") && said.contains("now has 4"), "{said}");
        assert!(refuse_changed("t", &compared, &[None, tail(4, 3)]).is_err(), "another event");
        assert!(refuse_changed("t", &compared, &[tail(0, 3), tail(4, 1)]).is_err());
    }
}
