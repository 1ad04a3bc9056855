//! The end of the own topic, read by the rule that all readers share: which writer is in force, and which event was last.
//!
//! What was acknowledged and marked before need not be read again as long as the log has it where it was. Else a
//! partition is read from its beginning, because what is in force at a place follows from all that lies before it.

use std::time::{Duration, Instant};

use event_log::topics::{self, Watermarks};
use event_log::{LogError, Polled, Reader, Record, Start};
use schemas::claim::Writer;
use schemas::envelope;
use schemas::place::{self, Compared, Place};
use schemas::sequence::{Reached, Sequence, Verdict};

use crate::kernel::comparison::{CompareError, OwnTopic};
use crate::kernel::incoming::{self, IncomingError};
use crate::kernel::log_tail::Tail;
use crate::kernel::recorded;
use crate::kernel::store::Store;

/// How long one poll waits; the silence is looked at in between.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a broker that is to have more may stay silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is known of every partition of the own topic, up to where it has been read.
#[derive(Debug)]
pub(crate) struct OwnLog {
    pub(crate) partitions: Vec<OwnPartition>,
    /// Events of a higher epoch are somebody else's.
    own_epoch: u32,
}

/// One partition, up to where it has been read.
#[derive(Debug, Clone)]
pub(crate) struct OwnPartition {
    pub(crate) sequence: Sequence,
    /// Positions before this one are there, and not of a higher epoch than the own one.
    pub(crate) own_end: u64,
    /// Offset of the first record that has not been read.
    pub(crate) next_offset: i64,
    /// Who claimed it last, and the epoch, if a claim that is in force was read.
    pub(crate) writer: Option<(u32, Writer)>,
    /// Whether nothing has been read of a log whose beginning is gone: it begins at any position.
    begins_anywhere: bool,
}

impl OwnLog {
    /// Reads every partition to its present end. `store` says what was marked before.
    pub(crate) fn read(own: &OwnTopic, store: Option<&Store>, own_epoch: u32) -> Result<Self, CompareError> {
        let all: Vec<_> = (0..own.partitions).map(|partition| (own.topic, partition)).collect();
        let held = topics::all_watermarks(&own.kafka, &all)?;
        let marks = match store {
            Some(store) => recorded::marks(store, own.partitions)?,
            None => vec![Reached::default(); all.len()],
        };
        let places = places(own, &marks, &held)?;
        let begin = |((mark, held), place): ((&Reached, &Watermarks), Place)| match place {
            Place::At(offset) if offset == mark.offset => {
                OwnPartition::new(Sequence::resume(*mark), offset, false)
            }
            // Lost, or changed: what it has is found out by reading all of it.
            _ => OwnPartition::new(Sequence::start(), held.low, held.low > 0),
        };
        let partitions = marks.iter().zip(&held).zip(places).map(begin).collect();
        let mut log = Self { partitions, own_epoch };
        let ends: Vec<_> = held.iter().map(|held| held.high).collect();
        log.read_to(own, &ends)?;
        Ok(log)
    }

    /// Reads every partition on, up to these offsets.
    pub(crate) fn read_to(&mut self, own: &OwnTopic, ends: &[i64]) -> Result<(), CompareError> {
        let short = |index: &usize| self.partitions[*index].next_offset < ends[*index];
        let short: Vec<usize> = (0..ends.len()).filter(short).collect();
        if short.is_empty() {
            return Ok(());
        }
        let start = |index: &usize| Start {
            topic: own.topic.to_owned(),
            partition: *index as i32,
            offset: self.partitions[*index].next_offset,
        };
        let starts: Vec<_> = short.iter().map(start).collect();
        let reader = Reader::open(&own.kafka, &starts).map_err(topics::TopicError::from)?;
        let mut left: Vec<bool> = vec![true; short.len()];
        let mut heard = Instant::now();
        while left.contains(&true) {
            match reader.poll(POLL_TIMEOUT).map_err(topics::TopicError::from)? {
                Polled::Record(record) => {
                    heard = Instant::now();
                    let index = short[record.source()];
                    if record.offset() < ends[index] {
                        self.partitions[index].take(own, &record, self.own_epoch)?;
                    }
                    left[record.source()] = record.offset() + 1 < ends[index];
                }
                Polled::End { source } => left[source] = false,
                Polled::Nothing if heard.elapsed() > SILENCE_MAX => {
                    let brokers = own.kafka.brokers.clone();
                    let waited_ms = SILENCE_MAX.as_millis();
                    let silent = LogError::Unreachable { brokers, waited_ms, reason: None };
                    return Err(topics::TopicError::from(silent).into());
                }
                Polled::Nothing => {}
            }
        }
        Ok(())
    }

    /// The last event of every partition.
    pub(crate) fn tails(&self) -> Vec<Option<Tail>> {
        let tail = |partition: &OwnPartition| {
            let Reached { next_position, last_id, .. } = partition.sequence.reached();
            Some(Tail { position: next_position.checked_sub(1)?, id: last_id? })
        };
        self.partitions.iter().map(tail).collect()
    }

    /// The highest epoch that is in force anywhere.
    pub(crate) fn epoch(&self) -> u32 {
        self.partitions.iter().map(|partition| partition.sequence.epoch()).max().unwrap_or(0)
    }

    /// Partitions whose writer, as far as its claim was read, is one of these.
    pub(crate) fn claimed_by(&self, is: impl Fn(u32, &Writer) -> bool) -> Option<(i32, Writer)> {
        let claims =
            (0..).zip(&self.partitions).filter_map(|(partition, at)| Some((partition, at.writer.as_ref()?)));
        let mut found = claims.filter(|(_, (epoch, writer))| is(*epoch, writer));
        found.next().map(|(partition, (_, writer))| (partition, writer.clone()))
    }
}

impl OwnPartition {
    fn new(sequence: Sequence, next_offset: i64, begins_anywhere: bool) -> Self {
        let own_end = sequence.next_position();
        Self { sequence, own_end, next_offset, writer: None, begins_anywhere }
    }

    fn take(&mut self, own: &OwnTopic, record: &Record<'_>, own_epoch: u32) -> Result<(), CompareError> {
        if self.begins_anywhere
            && let Ok(first) = envelope::open(record.value(), || record.headers())
        {
            self.begins_anywhere = false;
            let offset = record.offset();
            let (epoch, next_position) = (first.writer_epoch, first.position);
            self.sequence = Sequence::resume(Reached { offset, epoch, next_position, last_id: None });
        }
        let judged = incoming::judge(record, own.service, &self.sequence).map_err(|fault| IncomingError {
            at: incoming::at(record, &own.kafka.topic_prefix),
            fault: Box::new(fault),
        })?;
        judged.pass(&mut self.sequence, record.offset());
        self.next_offset = record.offset() + 1;
        if judged.verdict == Verdict::Apply && self.sequence.epoch() <= own_epoch {
            self.own_end = self.sequence.next_position();
        }
        if judged.verdict == Verdict::Claim {
            self.writer = judged.writer.map(|writer| (self.sequence.epoch(), writer));
        }
        Ok(())
    }
}

/// Where the log has what was marked, per partition.
fn places(own: &OwnTopic, marks: &[Reached], held: &[Watermarks]) -> Result<Vec<Place>, CompareError> {
    let compared = marks.iter().zip(held).map(|(reached, held)| Compared {
        reached: *reached,
        low: held.low,
        high: held.high,
    });
    let start = |(index, offset): &(usize, i64)| Start {
        topic: own.topic.to_owned(),
        partition: *index as i32,
        offset: *offset,
    };
    let places = place::places(compared, |looks| {
        let records = topics::records_at(&own.kafka, &looks.iter().map(start).collect::<Vec<_>>())?;
        let event =
            |record: topics::OwnedRecord| place::event(record.value.as_deref(), || record.headers.clone());
        Ok::<_, topics::TopicError>(records.into_iter().map(|record| record.and_then(event)).collect())
    })?;
    Ok(places)
}
