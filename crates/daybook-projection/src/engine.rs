//! From a record to changed rows: open, check, fold, and commit rows and checkpoint together.
//!
//! The engine touches the disk only through the generation it is given, and never Kafka or a clock; what it does
//! follows from the records alone. A record that cannot be projected waits with all later ones of its key, an event that contradicts
//! a row waits for that view ([`super::quarantine`]), or it stops the driver and leaves no trace.

use std::sync::Arc;

use daybook_event::doubt::Counted;
use daybook_event::event_data::{EventData, Opened};
use daybook_service::fires;
use daybook_stream::{Headers, RecordView, share_log_ids};

use super::cache::Tables;
use super::change::ChangeAt;
use super::checkpoint::Checkpoint;
use super::generation::{BATCH_ROWS_MAX, Generation};
use super::projection::{Projection, Topic};
use super::quarantine::{Admission, Parking};
use super::sources::{self, Source};
use super::stop::StopReason;
use super::store::StoreError;

pub use super::sources::Counts;

/// When the engine asks for a commit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub changed_rows_max: usize,
    /// Bytes of all cached rows; beyond it, all rows are written and forgotten.
    pub cache_bytes_max: usize,
}

impl Limits {
    /// For following: small atomic batches.
    pub fn following(cache_bytes_max: usize) -> Self {
        Self { changed_rows_max: BATCH_ROWS_MAX, cache_bytes_max }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Index of its partition, in the order of [`Checkpoint::sources`].
    pub source: usize,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn view(&self) -> RecordView<'a> {
        let Self { offset, key, value, .. } = *self;
        RecordView { offset, key, value }
    }
}

/// Folds the records of all partitions into rows that are not yet written.
pub struct Engine<E: 'static> {
    projection: Projection<E>,
    limits: Limits,
    tables: Tables<E>,
    sources: Vec<Source>,
    /// Which of the sources have moved since the last commit.
    changed: Vec<bool>,
    /// What had been done as of the last commit.
    committed: Counts,
    /// What waits in the generation; none before the first record.
    admission: Admission,
    resumed: bool,
    /// Whether rows or offsets are ahead of the last commit.
    uncommitted: bool,
}

impl<E: EventData> Engine<E> {
    /// An engine that resumes at `checkpoint`. Partitions of topics that the projection does not know are refused when their first
    /// record comes.
    pub fn new(projection: Projection<E>, checkpoint: &Checkpoint, limits: Limits) -> Self {
        let sources = sources::sources(&projection, checkpoint);
        Self {
            projection,
            limits,
            tables: Tables::new(&projection, &sources),
            changed: vec![false; sources.len()],
            sources,
            committed: Counts::default(),
            admission: Admission::default(),
            resumed: false,
            uncommitted: false,
        }
    }

    /// Opens, checks and folds one record. `headers` is called only if the value is not a structured event.
    /// Errors: [`StopReason`]; the record has left no trace. Where a row could not be made again as it was before, everything since the last commit
    /// is forgotten.
    pub fn apply(
        &mut self,
        stored: &Generation,
        record: Incoming<'_>,
        headers: impl Fn() -> Headers,
    ) -> Result<(), StopReason> {
        if !self.resumed {
            let quarantine = stored.quarantine();
            for (index, source) in self.sources.iter_mut().enumerate() {
                self.admission.resume(&quarantine, index, source);
            }
            self.resumed = true;
        }
        let source = &mut self.sources[record.source];
        source.check_topic(record.offset)?;
        let log_id = source.state.sequence().log_id();
        let (tables, mut applied_at) = (&mut self.tables, None);
        let project = |_: &Source, opened: &Opened<'_, E>, left_out: &[u8], parking: &mut Parking| {
            if fires("hide-row") {
                return Ok(());
            }
            let (source, offset) = (record.source as u32, record.offset);
            let time_us = opened.time.as_microsecond();
            let at = ChangeAt { source, offset, position: opened.position, time_us };
            if tables.fold(stored, &opened.event, (&at, opened.id), left_out, parking)? {
                applied_at = Some(opened.time);
            }
            Ok(())
        };
        let admitted = self.admission.admit(source, record, headers, project);
        if self.tables.is_torn() {
            self.forget(&stored.checkpoint());
        }
        admitted?;
        if applied_at.is_some() {
            self.admission.counts.applied += 1;
            self.admission.counts.last_event_at = applied_at;
        }
        if self.sources[record.source].state.sequence().log_id() != log_id {
            share_log_ids(self.sources.iter_mut().map(|source| &mut source.state));
        }
        self.changed[record.source] = true;
        self.uncommitted = true;
        Ok(())
    }

    pub fn uncommitted(&self) -> bool {
        self.uncommitted
    }

    /// Whether so much is waiting that it should be committed now.
    pub fn full(&self) -> bool {
        let (parked, parked_bytes) = self.admission.parking.uncommitted();
        self.tables.fill_batch(self.limits.changed_rows_max, parked, parked_bytes)
            || self.cache_bytes() > self.limits.cache_bytes_max
    }

    pub fn cache_bytes(&self) -> usize {
        self.tables.bytes()
    }

    pub fn topics(&self) -> &'static [Topic] {
        self.projection.topics
    }

    pub fn counts(&self) -> Counts {
        self.admission.counts
    }

    pub fn next_offset(&self, source: usize) -> i64 {
        self.sources[source].state.next_offset()
    }

    pub fn next_position(&self, source: usize) -> u64 {
        self.sources[source].state.next_position()
    }

    /// Offset right behind the event of a partition that was applied last, by its index.
    pub fn resume_offset(&self, source: usize) -> i64 {
        self.sources[source].state.resume_offset()
    }

    /// What tells of each partition whether the log is still the same.
    pub fn counted(&self) -> impl Iterator<Item = &Counted> {
        self.sources.iter().map(|source| source.state.counted())
    }

    /// The next record of a partition comes from this offset, where the log has it now.
    pub fn seek(&mut self, source: usize, offset: i64) {
        if self.sources[source].state.seek(offset) {
            self.changed[source] = true;
            self.uncommitted = true;
        }
    }

    pub fn report_set_aside(&mut self) {
        self.admission.report_set_aside();
    }

    /// Writes all changed rows together with the checkpoint.
    /// Errors: [`StoreError`]; the engine must then be given up.
    pub fn commit(&mut self, stored: &Generation) -> Result<Arc<Checkpoint>, StoreError> {
        let mut commit = stored.begin();
        commit.park(self.admission.parking.take_uncommitted())?;
        self.tables.write(&mut commit)?;
        let changed = self.sources.iter().zip(&self.changed).filter(|(_, changed)| **changed);
        let reached = changed.map(|(source, _)| (source.id.clone(), source.checkpoint()));
        let checkpoint = commit.finish(reached)?;
        self.changed.fill(false);
        self.committed = self.admission.counts;
        self.uncommitted = false;
        if self.cache_bytes() > self.limits.cache_bytes_max {
            self.tables.forget();
        }
        Ok(checkpoint)
    }

    /// Drops everything since the last commit; records are to be read again from `checkpoint`.
    pub fn forget(&mut self, checkpoint: &Checkpoint) {
        let (committed, admission) = (self.committed, self.admission.forget(self.committed));
        *self = Self { committed, admission, ..Self::new(self.projection, checkpoint, self.limits) };
    }
}
