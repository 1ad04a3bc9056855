//! One partition that is followed, and the events of it that wait to be written.

use daybook_event::doubt::Counted;
use daybook_event::place::Stamp;
use daybook_event::sequence::{Sequence, Verdict};
use daybook_kafka::Record;
use daybook_service::fires;
use daybook_store::Writes;

use super::quarantine::Quarantine;
use crate::aggregate::{Followed, Said};
use crate::followed::{At, Place};
use crate::incoming::{self, IncomingFault};
use crate::keys;
use crate::outcome::Written;
use crate::rows::{Reference, encode_reached};

/// One partition that is followed.
pub(super) struct Source {
    pub(super) table: usize,
    pub(super) partition: i32,
    pub(super) next_offset: i64,
    pub(super) sequence: Sequence,
    /// What tells whether the log is still the same.
    pub(super) counted: Counted,
    /// Followed up to here, where it ended at the start, it is ready. None while nobody has told where that is.
    pub(super) ready_offset: Option<i64>,
    /// Why nothing is read of it: nobody answers for it.
    pub(super) away: Option<String>,
}

impl Source {
    /// How far it has been followed, for those who ask.
    pub(super) fn at(&self) -> At {
        At {
            next_position: self.sequence.next_position(),
            next_offset: self.next_offset,
            is_ready: self.ready_offset.is_some_and(|ready| self.next_offset >= ready),
        }
    }

    pub(super) fn place(&self) -> Place {
        (self.table, self.partition)
    }

    /// Applies a record, unless it was applied before.
    pub(super) fn apply(
        &mut self,
        followed: &Followed,
        record: &Record<'_>,
        quarantine: &mut Quarantine,
        batch: &mut Batch,
    ) -> Result<(), IncomingFault> {
        let judged = incoming::judge(record, followed.service, &self.sequence)?;
        if let Some(envelope) = &judged.event {
            let read = match quarantine.waits(self.table, envelope.subject) {
                true => Err(None),
                false => (followed.read)(&envelope.event_type, &envelope.data).map_err(Some),
            };
            let said_at = Written { partition: self.partition, position: envelope.position };
            match read {
                Ok(_) if fires("forget-fact") => {}
                Ok(said) => batch.write(standing_row(self.table, said, said_at)),
                Err(unreadable) => batch.write(quarantine.park(self.table, envelope, unreadable)?),
            }
        }
        match judged.verdict {
            Verdict::Apply | Verdict::Duplicate => batch.followed += 1,
            Verdict::Superseded => batch.superseded += 1,
            Verdict::Claim => {}
        }
        judged.pass(&mut self.sequence, record.offset());
        self.next_offset = record.offset() + 1;
        match judged.verdict {
            Verdict::Apply => self.counted.event(record.offset(), judged.stamp()),
            Verdict::Claim => self.counted.claim(record.offset(), judged.stamp()),
            Verdict::Duplicate | Verdict::Superseded => {}
        }
        Ok(())
    }

    /// Reading goes on at another place, or at the same one.
    pub(super) fn go_on_at(&mut self, offset: i64) {
        let reached = self.sequence.reached();
        let before = reached.last_id.filter(|_| reached.offset == offset);
        self.counted = Counted::behind(before.map(|id| (offset - 1, Stamp { id, epoch: reached.epoch })));
        self.next_offset = offset;
        self.sequence.go_on_at(offset);
    }

    pub(super) fn checkpoint(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let checkpoint = encode_reached(&self.sequence.reached());
        (keys::checkpoint(self.table, self.partition), Some(checkpoint))
    }
}

/// Partitions of one topic are of one log: one of which no event was read yet knows it from the others.
pub(super) fn share_log_ids(sources: &mut [Source]) {
    let known: Vec<_> = sources.iter().filter_map(|of| Some((of.table, of.sequence.log_id()?))).collect();
    for source in sources {
        if let Some((_, log_id)) = known.iter().find(|(table, _)| *table == source.table) {
            source.sequence.belongs_to(*log_id);
        }
    }
}

/// The row of what an event says about somebody's standing, if it says anything.
pub(super) fn standing_row(table: usize, said: Said, said_at: Written) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let (subject, standing) = said?;
    Some((keys::reference(table, subject), Reference { standing, said_at }.encode()))
}

/// Records that are read and not yet handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Writes,
    pub(super) touched: Vec<usize>,
    pub(super) records: usize,
    /// Bytes of what is to be written.
    pub(super) bytes: usize,
    /// Events among them, also repeated ones.
    pub(super) followed: u64,
    /// Records of superseded writers among them.
    pub(super) superseded: u64,
}

impl Batch {
    fn write(&mut self, writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        for (key, value) in writes {
            self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            self.writes.push((key, value));
        }
    }
}
