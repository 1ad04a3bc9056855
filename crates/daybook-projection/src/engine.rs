//! From a record to changed rows: open, check, fold, and commit rows and checkpoint together.
//!
//! The engine touches the disk only through the generation it is given, and never Kafka or a clock; what it does
//! follows from the records alone. A record that cannot be projected waits with all later ones of its key
//! ([`super::quarantine`]), or stops the driver and leaves no trace, with one exception: a fold that failed may have
//! changed some views already. Then everything since the last commit is dropped ([`Engine::forget`]), and the driver
//! reads again from the checkpoint; the event is parked when it comes again ([`Engine::reads_again`]), or is not read.

mod commit;

use daybook_event::doubt::Counted;
use daybook_event::event_data::{self, EventData};
use daybook_event::sequence::Verdict;
use daybook_service::fires;

use super::cache::{Table, fills_batch};
use super::checkpoint::Checkpoint;
use super::generation::{BATCH_ROWS_MAX, Generation};
use super::projection::Projection;
use super::quarantine::{Course, Intake};
use super::source::{self, Source, Stamp};
use super::stop::StopReason;
use super::view::EventMeta;

pub use super::source::Counts;

/// When the engine asks for a commit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows and parts to be written.
    pub changed_rows_max: usize,
    /// Bytes of all cached rows; beyond it, all rows are written and forgotten.
    pub cache_bytes_max: usize,
}

impl Limits {
    /// For following: small atomic batches.
    #[must_use]
    pub fn following(cache_bytes_max: usize) -> Self {
        Self { changed_rows_max: BATCH_ROWS_MAX, cache_bytes_max }
    }
}

/// A record as the engine takes it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Index of its partition, in the order of [`Checkpoint::sources`].
    pub source: usize,
    /// Kafka's offset.
    pub offset: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
}

/// Folds the records of all partitions into rows that are not yet written.
pub struct Engine<E: 'static> {
    projection: Projection<E>,
    limits: Limits,
    tables: Vec<Box<dyn Table<E>>>,
    sources: Vec<Source>,
    /// Which of the sources have moved since the last commit.
    changed: Vec<bool>,
    counts: Counts,
    /// The same, as of the last commit.
    committed: Counts,
    /// What waits in the generation; none before the first record.
    intake: Intake,
    resumed: bool,
    /// Whether rows or offsets are ahead of the last commit.
    uncommitted: bool,
}

impl<E: EventData> Engine<E> {
    /// An engine that goes on from `checkpoint`. Partitions of topics that the projection does not know are refused as
    /// foreign when their first record comes.
    #[must_use]
    pub fn new(projection: Projection<E>, checkpoint: &Checkpoint, limits: Limits) -> Self {
        let sources = source::sources(&projection, checkpoint);
        Self {
            projection,
            limits,
            tables: projection.tables(),
            changed: vec![false; sources.len()],
            sources,
            counts: Counts::default(),
            committed: Counts::default(),
            intake: Intake::default(),
            resumed: false,
            uncommitted: false,
        }
    }

    /// Opens, checks and folds one record. `headers` is called only if the value is not a structured event.
    ///
    /// # Errors
    /// [`StopReason`]; after [`StopReason::Fold`] and [`StopReason::Store`] the engine must [`Engine::forget`].
    pub fn apply(
        &mut self,
        stored: &Generation,
        record: Incoming<'_>,
        headers: impl Fn() -> Vec<(String, Vec<u8>)>,
    ) -> Result<Verdict, StopReason> {
        if !self.resumed {
            let quarantine = stored.quarantine();
            for (index, source) in self.sources.iter().enumerate() {
                self.intake.resume(&quarantine, index, source);
            }
            self.resumed = true;
        }
        let source = &mut self.sources[record.source];
        let opened = match event_data::open::<E>(record.value, &headers) {
            Ok(opened) => opened,
            Err(error) => {
                let verdict = self.intake.set_aside(source, record, headers(), error)?;
                self.counts.skipped(verdict);
                return Ok(self.passed(record.source, verdict));
            }
        };
        let (position, id) = (opened.position, opened.id);
        let stamp = Stamp::of(&opened);
        let verdict = self.intake.judge(source, &stamp, record.source, record.offset)?;
        match (verdict, self.intake.course(record.source, position, id, || record.key)) {
            (Verdict::Duplicate | Verdict::Superseded | Verdict::Claim, _) => self.counts.skipped(verdict),
            (Verdict::Apply, Course::LeaveOut) => {}
            (Verdict::Apply, Course::Project) if fires("hide-row") => {}
            (Verdict::Apply, Course::Park) => self.intake.park(source, record, headers(), position, id)?,
            (Verdict::Apply, Course::Project) => {
                let meta = EventMeta {
                    topic: &source.id.topic,
                    partition: source.id.partition,
                    position: opened.position,
                    time_us: opened.time.as_microsecond(),
                };
                for table in &mut self.tables {
                    table.fold(stored, &opened.event, &meta).map_err(|error| {
                        let reason = StopReason::fold(source.at(record.offset, Some(id)), error);
                        self.intake.note_unfoldable(record, position, &reason);
                        reason
                    })?;
                }
                self.counts.applied += 1;
                self.counts.last_event_at = Some(opened.time);
            }
        }
        source.passed(verdict, &stamp, record.offset);
        Ok(self.passed(record.source, verdict))
    }

    fn passed(&mut self, source: usize, verdict: Verdict) -> Verdict {
        if verdict == Verdict::Apply && self.sources[source].next_position() == 1 {
            source::share_log_ids(&mut self.sources);
        }
        self.changed[source] = true;
        self.uncommitted = true;
        verdict
    }

    /// Whether the record that was refused last will be parked: after [`Engine::forget`], records are to be read again
    /// from the checkpoint, this one too.
    #[must_use]
    pub fn reads_again(&self) -> bool {
        self.intake.reads_again()
    }

    /// Whether there is anything to commit.
    #[must_use]
    pub fn uncommitted(&self) -> bool {
        self.uncommitted
    }

    /// Whether so much is waiting that it should be committed now.
    #[must_use]
    pub fn full(&self) -> bool {
        let (parked, parked_bytes) = self.intake.uncommitted();
        fills_batch(&self.tables, self.limits.changed_rows_max, parked, parked_bytes)
            || self.cache_bytes() > self.limits.cache_bytes_max
    }

    /// Bytes of all cached rows.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.bytes()).sum()
    }

    /// What has been done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Offset of the next record of a partition, by its index.
    #[must_use]
    pub fn next_offset(&self, source: usize) -> i64 {
        self.sources[source].checkpoint().next_offset
    }

    /// Position of the next event of a partition, by its index.
    #[must_use]
    pub fn next_position(&self, source: usize) -> u64 {
        self.sources[source].next_position()
    }

    /// Offset right behind the event of a partition that was applied last, by its index.
    #[must_use]
    pub fn resume_offset(&self, source: usize) -> i64 {
        self.sources[source].resume_offset()
    }

    /// What tells of each partition whether the log is still the same.
    pub fn counted(&self) -> impl Iterator<Item = &Counted> {
        self.sources.iter().map(|source| &source.counted)
    }

    /// A partition was read to its end: what waited there without a position and has not come again is gone.
    pub fn reach_end(&mut self, stored: &Generation, source: usize) {
        let was_at_end = std::mem::replace(&mut self.sources[source].is_at_end, true);
        self.uncommitted |= !was_at_end && !stored.quarantine().unplaced().is_empty();
    }

    /// The next record of a partition comes from this offset, where the log has it now.
    pub fn go_on_at(&mut self, source: usize, offset: i64) {
        // They come again.
        self.sources[source].unplaced.clear();
        self.sources[source].is_at_end = false;
        if self.sources[source].go_on_at(offset) {
            self.changed[source] = true;
            self.uncommitted = true;
        }
    }
}
