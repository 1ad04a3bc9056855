//! One partition as it is projected: its events must come from its service, one position after the other.

use jiff::Timestamp;
use schemas::claim;
use schemas::envelope;
use schemas::event_data::{self, EventData, EventError, Opened};
use schemas::sequence::{Sequence, Verdict};
use uuid::Uuid;

use super::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
use super::projection::Projection;
use super::stop::{RecordAt, StopReason};

/// What has been done since an engine was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events projected.
    pub applied: u64,
    /// Records recognised as repeated.
    pub duplicates: u64,
    /// Records of writers that others had superseded.
    pub superseded: u64,
    /// Time of the event projected last.
    pub last_event_at: Option<Timestamp>,
}

impl Counts {
    /// Counts a record that is not applied.
    pub(super) fn skipped(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Duplicate => self.duplicates += 1,
            Verdict::Superseded => self.superseded += 1,
            Verdict::Apply | Verdict::Claim => {}
        }
    }
}

/// A record, judged.
pub(super) struct Taken<'a, E> {
    pub(super) verdict: Verdict,
    epoch: u32,
    pub(super) id: Uuid,
    /// The event, if it is to be applied.
    pub(super) event: Option<Opened<'a, E>>,
}

/// The place of one partition, and the check of its next record.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: SourceId,
    service: &'static str,
    pub(super) next_offset: i64,
    sequence: Sequence,
}

/// All partitions of a checkpoint, in its order. Partitions of topics that the projection does not know are refused as
/// foreign when their first record comes.
pub(super) fn sources<E>(projection: &Projection<E>, checkpoint: &Checkpoint) -> Vec<Source> {
    let service = |topic: &str| projection.topics.iter().find(|known| known.name == topic);
    let source = |(id, at): (&SourceId, &SourceCheckpoint)| Source {
        id: id.clone(),
        service: service(&id.topic).map_or("", |topic| topic.service),
        next_offset: at.next_offset,
        sequence: at.sequence(),
    };
    checkpoint.sources().map(source).collect()
}

impl Source {
    /// Opens and judges a record. An event must come from the service of its topic and name its partition; its position
    /// must be the next one. `headers` is called only if the value is not a structured event.
    // A result handed back through memory costs more than judging it.
    #[inline(always)]
    pub(super) fn take<'a, E: EventData>(
        &self,
        offset: i64,
        value: Option<&'a [u8]>,
        headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
    ) -> Result<Taken<'a, E>, StopReason> {
        let opened = match event_data::open::<E>(value, headers) {
            Ok(opened) => opened,
            Err(error) => return self.take_other(offset, value, error),
        };
        let (epoch, id) = (opened.writer_epoch, opened.id);
        self.check_source(&opened.source, id, offset)?;
        let verdict = self.sequence.check(epoch, opened.position, id);
        let verdict =
            verdict.map_err(|error| StopReason::Sequence { at: self.at(offset, Some(id)), error })?;
        let event = (verdict == Verdict::Apply).then_some(opened);
        Ok(Taken { verdict, epoch, id, event })
    }

    /// What is no event for this program may be a writer's claim, or come from a writer that is superseded.
    #[cold]
    fn take_other<'a, E>(
        &self,
        offset: i64,
        value: Option<&'a [u8]>,
        error: EventError,
    ) -> Result<Taken<'a, E>, StopReason> {
        let unreadable = |error| Err(StopReason::unreadable(self.at(offset, None), error));
        let (verdict, epoch, id) = match claim::open(value) {
            Some(Ok(claim)) => {
                self.check_source(&claim.source, claim.id, offset)?;
                (self.sequence.check_claim(claim.epoch), claim.epoch, claim.id)
            }
            Some(Err(error)) => return unreadable(error.into()),
            None => match envelope::open(value, Vec::new) {
                Ok(opened) if opened.writer_epoch < self.sequence.epoch() => {
                    (Verdict::Superseded, opened.writer_epoch, opened.id)
                }
                _ => return unreadable(error),
            },
        };
        Ok(Taken { verdict, epoch, id, event: None })
    }

    fn check_source(
        &self,
        from: &envelope::Source<'_>,
        event_id: Uuid,
        offset: i64,
    ) -> Result<(), StopReason> {
        if from.service != self.service || from.partition != self.id.partition {
            let expected = format!("/{}/{}", self.service, self.id.partition);
            let at = self.at(offset, Some(event_id));
            return Err(StopReason::ForeignSource { at, found: from.to_string(), expected });
        }
        Ok(())
    }

    /// Notes that the record at `offset` has been dealt with.
    pub(super) fn passed<E>(&mut self, taken: &Taken<'_, E>, offset: i64) {
        self.sequence.pass(taken.verdict, taken.epoch, taken.id, offset);
        self.next_offset = self.next_offset.max(offset + 1);
    }

    /// Where reading goes on: right behind the event applied last.
    pub(super) fn resume_offset(&self) -> i64 {
        self.sequence.reached().offset
    }

    /// Reading goes on at another place; returns whether it is another one.
    pub(super) fn go_on_at(&mut self, offset: i64) -> bool {
        let moved = self.resume_offset() != offset;
        self.sequence.go_on_at(offset);
        if moved {
            self.next_offset = offset;
        }
        moved
    }

    pub(super) fn at(&self, offset: i64, event_id: Option<Uuid>) -> Box<RecordAt> {
        let SourceId { topic, partition } = &self.id;
        Box::new(RecordAt { topic: topic.to_string(), partition: *partition, offset, event_id })
    }

    pub(super) fn checkpoint(&self) -> SourceCheckpoint {
        let reached = self.sequence.reached();
        SourceCheckpoint {
            next_offset: self.next_offset,
            next_position: reached.next_position,
            last_id: reached.last_id,
            resume_offset: reached.offset,
            epoch: reached.epoch,
        }
    }
}
