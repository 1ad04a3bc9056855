//! How a process begins with a journal: always with a fresh segment.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::{Catalog, Segment, empty_footer, note};
use crate::directory::close_segment;
use crate::errors::OpenError;
use crate::footer::Footer;
use crate::frame::{BLOCK_BYTES, Frame, blocks};
use crate::journal::{Journal, Start};
use crate::open::{Found, io_error};
use crate::reader::Reader;
use crate::scan::Scanned;
use crate::segment::{Header, Identity, PartitionState};

/// Of a whole segment, the part that one has for records which is begun on a full disk.
const SMALL_SEGMENT_FRACTION: u64 = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a segment, rounded up to whole blocks; at least a few records.
    pub segment_bytes: u64,
    /// Bytes of events that are kept in memory for who reads them soon after they were appended, and once more so many of
    /// those that were read back last.
    pub recent_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // Two of them and a store fit on a small volume, and a start reads at most one whole.
        Self { segment_bytes: 4 * 1024 * 1024, recent_bytes_max: 8 * 1024 * 1024 }
    }
}

#[derive(Debug, Clone)]
pub struct Beginning<'a> {
    pub identity: &'a Identity,
    /// Of a new journal: its id.
    pub new_id: Uuid,
    /// Of a new journal: where each partition stands before its first record.
    pub initial: &'a [PartitionState],
    /// What the log has of each partition; empty if it was not looked at. Where that is more than the journal has, the
    /// journal continues behind it, and the positions between are in none of its records.
    pub in_log: &'a [LogEnd],
    pub now_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Position behind its last event.
    pub next: u64,
    /// Id of that event; none if there is none.
    pub last_id: Option<Uuid>,
}

impl LogEnd {
    /// A partition continues behind what the log has if that is more.
    fn raise(&self, state: &mut PartitionState) {
        if self.next > state.next {
            (state.next, state.last_id, state.acknowledged) = (self.next, self.last_id, self.next);
        }
    }
}

impl Found {
    /// Begins to write: a torn end is cut off, what is unsure is written once more, and the old segment is closed.
    ///
    /// A torn end may have been acknowledged nevertheless: the caller knows, by its index and by the log. It compares them
    /// with [`Found::last_number`] and [`Found::partitions`] before.
    /// Errors: If the journal belongs to another service, or cannot be written.
    pub fn begin(mut self, beginning: &Beginning<'_>, settings: &Settings) -> Result<Journal, OpenError> {
        self.check_identity(beginning.identity)?;
        let segment_bytes = settings.segment_bytes.next_multiple_of(BLOCK_BYTES as u64);
        let directory = &self.directory.clone();
        let io = |doing| move |source| io_error(directory, doing, source);
        directory.make().map_err(io("be created"))?;
        let (header, replaces) = (self.next_header(beginning), self.replaces_newest());
        let (begin, copied) = self.first_blocks(&header);
        let fresh_bytes = self.spare(segment_bytes, begin.len() as u64).map_err(io("take a new segment"))?;
        let spare = self.directory.open_spare().map_err(io("open its spare segment"))?;
        let file =
            self.directory.begin_segment(spare, header.segment, &begin).map_err(io("begin a segment"))?;
        // The record that says what is not needed may have been the unsure one.
        self.remove_unneeded(header.segment).map_err(io("remove segments that are not needed"))?;
        if replaces {
            self.segments.pop();
        }
        // On a full disk a footer would take what the next start needs.
        let has_room = fresh_bytes == segment_bytes;
        let damaged: Vec<_> =
            self.segments.iter().map(|segment| self.is_damaged(segment.footer.segment)).collect();
        let whole = self.segments.iter_mut().zip(damaged).filter(|(_, is_damaged)| !is_damaged);
        for (segment, _) in whole.filter(|(segment, _)| has_room && !segment.closed) {
            // Not closed, it is read at the next start: slower, and no loss.
            match close_segment(&segment.file, segment.end, &segment.footer) {
                Ok(bytes) => (segment.bytes, segment.closed) = (bytes, true),
                Err(error) => {
                    tracing::warn!(segment = segment.footer.segment, %error, "a segment of the journal was not closed");
                }
            }
        }
        let header_blocks = blocks(header.encode().len());
        let mut fresh = Segment {
            file: Arc::new(file),
            footer: empty_footer(&header),
            key_count: 0,
            begin: header_blocks,
            end: header_blocks,
            bytes: fresh_bytes,
            closed: false,
        };
        if let Some(copied) = &copied {
            note(&mut fresh.footer, copied, &copied.record.group.events);
            fresh.end += copied.frame.blocks();
            fresh.key_count = fresh.footer.keys.len();
        }
        let directory = self.directory.clone();
        let mut catalog = self.into_catalog(header.partitions.len(), settings.recent_bytes_max);
        catalog.add(fresh.clone());
        let start = Start { directory: directory.clone(), header, fresh, catalog, segment_bytes };
        Journal::start(start).map_err(|source| io_error(&directory, "start its thread", source))
    }

    /// Reads what there is, beside nobody: for who takes over from a journal that is put aside.
    #[must_use]
    pub fn into_reader(self) -> Reader {
        let (directory, id) = (self.directory.clone(), self.id().unwrap_or_default());
        let mut partitions = self.partitions().to_vec();
        // One whose header could not be read may know of fewer.
        let most = self.segments.iter().map(|segment| segment.footer.states.len()).max().unwrap_or(0);
        partitions.resize(most, PartitionState::default());
        Reader::of(directory, id, self.into_catalog(partitions.len(), 0), &partitions)
    }

    fn into_catalog(self, partitions: usize, recent_bytes_max: usize) -> Catalog {
        let mut catalog = Catalog::new(partitions, recent_bytes_max);
        catalog.reserve_keys(self.segments.iter().map(|segment| segment.key_count).sum());
        self.segments.into_iter().for_each(|segment| catalog.add(segment));
        catalog
    }

    /// Sees to it that there is a spare segment, and says how large it is. Where the disk has no room for a whole one, the
    /// zeros at the end of the old segment give some, and a few blocks are enough to start, to relay what waits, and to
    /// take commands again once there is room.
    fn spare(&self, wanted: u64, begin: u64) -> io::Result<u64> {
        if self.directory.has_spare(wanted) {
            return Ok(wanted);
        }
        match self.directory.make_spare(wanted) {
            Err(error) if is_full(&error) => {
                let is_whole = |segment: &&Segment| !self.is_damaged(segment.footer.segment);
                for segment in self.segments.iter().filter(is_whole).filter(|segment| !segment.closed) {
                    segment.file.set_len(u64::from(segment.end) * BLOCK_BYTES as u64)?;
                }
                let small = begin + (wanted / SMALL_SEGMENT_FRACTION).next_multiple_of(BLOCK_BYTES as u64);
                self.directory.make_spare(small).map(|()| small)
            }
            made => made.map(|()| wanted),
        }
    }

    fn check_identity(&self, expected: &Identity) -> Result<(), OpenError> {
        match self.identity() {
            Some(found) if !found.may_become(expected) => Err(OpenError::Identity {
                path: self.directory.path().to_owned(),
                found: Box::new(found.clone()),
                expected: Box::new(expected.clone()),
            }),
            _ => Ok(()),
        }
    }

    /// A segment that has nothing but what is written once more is replaced by the one that is begun, in one renaming: starts
    /// that come to nothing must not leave one each.
    fn replaces_newest(&self) -> bool {
        self.segments.last().is_some_and(|newest| {
            let Footer { segment, numbers, .. } = &newest.footer;
            !newest.closed && !self.is_damaged(*segment) && numbers.end - numbers.start <= 1
        })
    }

    /// `fresh` is the segment that was begun.
    fn remove_unneeded(&self, fresh: u64) -> io::Result<()> {
        let first = self.segments.first().map_or(fresh, |first| first.footer.segment);
        for number in self.directory.list()?.segments {
            if number < first {
                self.directory.remove_segment(number)?;
            }
        }
        Ok(())
    }

    fn next_header(&self, beginning: &Beginning<'_>) -> Header {
        let mut header = self.header_behind(beginning);
        for (state, in_log) in header.partitions.iter_mut().zip(beginning.in_log) {
            in_log.raise(state);
        }
        header
    }

    /// The header of a segment that continues where the journal ends.
    fn header_behind(&self, beginning: &Beginning<'_>) -> Header {
        let Beginning { identity, new_id, now_ms, .. } = *beginning;
        let Some((last, newest)) = self.segments.last().zip(self.newest.as_ref()) else {
            return Header {
                journal: new_id,
                identity: identity.clone(),
                segment: 1,
                first_number: 1,
                prior: 0,
                index_synced: 0,
                oldest_segment: 1,
                created_ms: now_ms,
                partitions: beginning.initial.to_vec(),
            };
        };
        let footer = &last.footer;
        let copied = newest.unsure.as_ref().map(|unsure| (unsure.frame.number, unsure.frame.prior));
        let (first_number, prior) = copied.unwrap_or((footer.numbers.end, footer.last_sum));
        Header {
            journal: newest.header.journal,
            identity: identity.clone(),
            segment: footer.segment + u64::from(!self.replaces_newest()),
            first_number,
            prior,
            index_synced: footer.index_synced,
            oldest_segment: footer.oldest_segment,
            created_ms: now_ms,
            partitions: footer.states.clone(),
        }
    }

    /// The header, and behind it the record that may lie in the system's cache only.
    fn first_blocks(&self, header: &Header) -> (Vec<u8>, Option<Scanned>) {
        let mut bytes = header.encode();
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        let unsure = self.newest.as_ref().and_then(|newest| newest.unsure.as_ref());
        let copied = unsure.map(|unsure| {
            let frame = Frame { segment: header.segment, ..unsure.frame };
            let block = blocks(bytes.len());
            bytes.extend_from_slice(&frame.encode());
            unsure.record.group.encode(&mut bytes);
            bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
            Scanned { block, frame, record: unsure.record.clone() }
        });
        (bytes, copied)
    }
}

/// Whether the system refuses more bytes, and may take them again.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
}
