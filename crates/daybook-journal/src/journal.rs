//! Appending to a journal.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, Segment, empty_footer};
use crate::directory::{Directory, Spare, close_segment};
use crate::errors::AppendError;
use crate::frame::{BLOCK_BYTES, FRAME_BYTES, Frame, Kind, RECORD_BYTES_MAX, blocks};
use crate::reader::{Reader, Shared};
use crate::record::{Event, Group, Record, Write};
use crate::scan::Scanned;
use crate::segment::{Header, Identity};

/// How long an append may wait for a new segment that is being filled with zeros.
const SPARE_TIMEOUT: Duration = Duration::from_secs(10);
/// Blocks at the end of the last segment that commands do not get while there is no spare one: notes and carried events
/// need some room on a full disk as well.
const RESERVED_BLOCKS: u32 = (2 * RECORD_BYTES_MAX / BLOCK_BYTES) as u32;

#[derive(Debug)]
pub struct Appended {
    pub number: u64,
    pub writes: Vec<Write>,
}

#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    spare: Spare,
    identity: Identity,
    live: Live,
    segment_bytes: u64,
    number: u64,
    prior: u32,
    index_synced: u64,
    oldest_segment: u64,
    next: Vec<u64>,
    buffer: Vec<u8>,
    failed: Option<String>,
}

#[derive(Debug)]
struct Live {
    segment: u64,
    file: Arc<File>,
    end: u32,
    blocks: u32,
}

/// What [`Journal::start`] begins with.
pub(crate) struct Start {
    pub(crate) directory: Directory,
    pub(crate) header: Header,
    pub(crate) fresh: Segment,
    pub(crate) catalog: Catalog,
    pub(crate) segment_bytes: u64,
}

impl Journal {
    pub(crate) fn start(start: Start) -> io::Result<Self> {
        let Start { directory, header, fresh, catalog, segment_bytes } = start;
        let spare = Spare::start(directory.clone(), segment_bytes)?;
        let reader = Reader::of(directory, header.journal, catalog, &header.partitions);
        let footer = &fresh.footer;
        Ok(Self {
            spare,
            live: Live {
                segment: footer.segment,
                file: fresh.file,
                end: fresh.end,
                // Bounded by `Settings::segment_bytes`.
                blocks: (fresh.bytes / BLOCK_BYTES as u64) as u32,
            },
            segment_bytes,
            number: footer.numbers.end,
            prior: footer.last_sum,
            index_synced: footer.index_synced,
            oldest_segment: footer.oldest_segment,
            next: footer.states.iter().map(|state| state.next).collect(),
            buffer: Vec::with_capacity(RECORD_BYTES_MAX),
            failed: None,
            shared: reader.shared,
            identity: header.identity,
        })
    }

    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared) }
    }

    /// Up to this record the index is known to be synced.
    pub(crate) fn synced(&self) -> u64 {
        self.index_synced
    }

    #[must_use]
    pub fn id(&self) -> uuid::Uuid {
        self.shared.id
    }

    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.number - 1
    }

    /// Why there is no room for a new segment at present, if the disk refuses it.
    #[must_use]
    pub fn no_room(&self) -> Option<String> {
        self.spare.failure()
    }

    /// The index was synced up to this record; the next record says so.
    pub fn index_synced(&mut self, number: u64) {
        self.index_synced = self.index_synced.max(number.min(self.last_number()));
    }

    /// Appends a group and returns its number once it is on the disk.
    /// Errors: [`AppendError::Failed`] if that is not known; every other error says that nothing was written.
    pub fn append(&mut self, group: Group, now_ms: u64) -> Result<u64, AppendError> {
        Ok(self.append_for_index(group, now_ms)?.number)
    }

    /// The same for who does its writes next: they are given back.
    pub fn append_for_index(&mut self, mut group: Group, now_ms: u64) -> Result<Appended, AppendError> {
        self.check_positions(&group.events)?;
        let number = self.write(Kind::Group, &mut group, now_ms)?;
        Ok(Appended { number, writes: group.writes })
    }

    /// Appends what the journal itself knows: how far the index was synced, which segment is the oldest that is needed.
    pub fn note(&mut self, now_ms: u64) -> Result<u64, AppendError> {
        self.write(Kind::Note, &mut Group::default(), now_ms)
    }

    /// Bytes of a record of what is carried: not so many that much of a segment's end is left empty.
    pub(crate) fn carried_bytes_max(&self) -> usize {
        RECORD_BYTES_MAX.min(self.segment_bytes as usize / 4)
    }

    /// Appends events of an older segment once more.
    pub(crate) fn carry(&mut self, events: Vec<Event>, now_ms: u64) -> Result<u64, AppendError> {
        self.write(Kind::Carried, &mut Group { events, ..Group::default() }, now_ms)
    }

    /// Says durably that segments before this one are not needed, and removes them.
    pub(crate) fn forget_before(&mut self, segment: u64, now_ms: u64) -> Result<(), AppendError> {
        let before = std::mem::replace(&mut self.oldest_segment, segment);
        if let Err(error) = self.note(now_ms) {
            self.oldest_segment = before;
            return Err(error);
        }
        for number in before..segment {
            let keys = self.shared.keys_of(number);
            self.shared.write().remove(number, keys.as_deref());
            // What could not be removed is removed at the next start.
            if let Err(error) = self.shared.directory.remove_segment(number) {
                tracing::warn!(segment = number, %error, "a segment of the journal could not be removed");
            }
        }
        Ok(())
    }

    /// Closes the journal in order: the next start needs to read no record.
    pub fn close(mut self, now_ms: u64) -> Result<(), AppendError> {
        self.note(now_ms)?;
        self.close_live().map_err(|source| AppendError::Failed { doing: "closed", source })
    }

    fn check_positions(&self, events: &[Event]) -> Result<(), AppendError> {
        let mut next = self.next.clone();
        for event in events {
            let (partition, found) = (event.partition, event.position);
            let expected = next.get_mut(partition as usize).filter(|expected| **expected == found);
            let Some(expected) = expected else {
                let expected = self.next.get(partition as usize).copied().unwrap_or_default();
                return Err(AppendError::Position { partition, expected, found });
            };
            *expected += 1;
        }
        Ok(())
    }

    fn write(&mut self, kind: Kind, group: &mut Group, now_ms: u64) -> Result<u64, AppendError> {
        if let Some(failure) = &self.failed {
            return Err(AppendError::Unusable(failure.clone()));
        }
        let bytes = group.bytes();
        if bytes > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes });
        }
        self.make_room(blocks(bytes), kind, now_ms)?;
        let frame = self.encode(kind, group, now_ms);
        let at = u64::from(self.live.end) * BLOCK_BYTES as u64;
        let written = self.live.file.write_all_at(&self.buffer, at);
        written.map_err(|source| self.fail("written", source))?;
        self.live.file.sync_data().map_err(|source| self.fail("synced", source))?;
        self.check_place().map_err(|source| self.fail("found as it was written", source))?;
        Ok(self.written(frame, group))
    }

    /// No start would find what lies in a file that another process has removed or cut.
    fn check_place(&self) -> io::Result<()> {
        let path = self.shared.directory.segment(self.live.segment);
        let written = self.live.file.metadata()?;
        let found = match fs::metadata(&path) {
            Ok(found) => Some((found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let done = match found {
            None => "removed",
            Some(found) if found != (written.dev(), written.ino()) => "replaced",
            Some(_) if written.len() < u64::from(self.live.blocks) * BLOCK_BYTES as u64 => "cut",
            Some(_) => return Ok(()),
        };
        Err(io::Error::other(format!(
            "another process has {done} {} while this one wrote it",
            path.display()
        )))
    }

    fn fail(&mut self, doing: &'static str, source: io::Error) -> AppendError {
        self.failed = Some(format!("it could not be {doing}: {source}"));
        AppendError::Failed { doing, source }
    }

    /// Puts the record into the buffer, filled up to whole blocks.
    fn encode(&mut self, kind: Kind, group: &Group, now_ms: u64) -> Frame {
        self.buffer.clear();
        self.buffer.resize(FRAME_BYTES, 0);
        group.encode(&mut self.buffer);
        let body = &self.buffer[FRAME_BYTES..];
        let frame = Frame {
            kind,
            journal: self.shared.id,
            segment: self.live.segment,
            number: self.number,
            index_synced: self.index_synced,
            oldest_segment: self.oldest_segment,
            committed_ms: now_ms,
            prior: self.prior,
            body_bytes: body.len() as u32,
            body_checksum: crc32c::crc32c(body),
        };
        self.buffer[..FRAME_BYTES].copy_from_slice(&frame.encode());
        self.buffer.resize(self.buffer.len().next_multiple_of(BLOCK_BYTES), 0);
        frame
    }

    /// The record is on the disk: readers may see it.
    fn written(&mut self, frame: Frame, group: &mut Group) -> u64 {
        let block = self.live.end;
        self.live.end += frame.blocks();
        self.number += 1;
        self.prior = frame.sum();
        if frame.kind == Kind::Group {
            for event in &group.events {
                self.next[event.partition as usize] = event.position + 1;
            }
        }
        let events = Arc::new(std::mem::take(&mut group.events));
        let keys = std::mem::take(&mut group.keys);
        let Frame { kind, number, index_synced, committed_ms, .. } = frame;
        let group = Group { keys, ..Group::default() };
        let record = Record { kind, number, index_synced, committed_ms, group };
        self.shared.write().appended(&Scanned { block, frame, record }, &events);
        number
    }

    /// Changes to a new segment if the record does not fit into the present one.
    fn make_room(&mut self, wanted: u32, kind: Kind, now_ms: u64) -> Result<(), AppendError> {
        let left = self.live.blocks.saturating_sub(self.live.end);
        let reserves = kind == Kind::Group && !self.spare.is_ready();
        let reserve = if reserves { RESERVED_BLOCKS.min(self.live.blocks / 4) } else { 0 };
        if wanted + reserve <= left {
            return Ok(());
        }
        let no_room = |source: io::Error| AppendError::NoRoom { detail: source.to_string() };
        self.spare.wait(SPARE_TIMEOUT).map_err(no_room)?;
        if wanted <= left {
            return Ok(());
        }
        self.change_segment(now_ms)
    }

    /// Changes to a new segment although the present one has room. Does nothing if there is no spare one, which is `awaited` if
    /// it is being made.
    pub(crate) fn change_segment_early(&mut self, awaited: bool, now_ms: u64) -> Result<(), AppendError> {
        let is_ready = if awaited { self.spare.wait(SPARE_TIMEOUT).is_ok() } else { self.spare.is_ready() };
        if self.failed.is_some() || !is_ready {
            return Ok(());
        }
        self.change_segment(now_ms)
    }

    fn change_segment(&mut self, now_ms: u64) -> Result<(), AppendError> {
        let header = self.next_header(now_ms);
        let mut begin = header.encode();
        let header_blocks = blocks(begin.len());
        begin.resize(begin.len().next_multiple_of(BLOCK_BYTES), 0);
        let no_room = |source: io::Error| AppendError::NoRoom { detail: source.to_string() };
        let spare = self.shared.directory.open_spare().map_err(no_room)?;
        let file = self.shared.directory.begin_segment(spare, header.segment, &begin);
        // Whether the new segment is there is not known; a start finds out.
        let file = Arc::new(file.map_err(|source| self.fail("given a new segment", source))?);
        self.spare.taken();
        if let Err(error) = self.close_live() {
            tracing::warn!(segment = self.live.segment, %error, "a segment of the journal was not closed");
        }
        self.live = Live {
            segment: header.segment,
            file: Arc::clone(&file),
            end: header_blocks,
            blocks: self.segment_blocks(),
        };
        let footer = empty_footer(&header);
        let bytes = self.segment_bytes;
        let (begin, end) = (header_blocks, header_blocks);
        let fresh = Segment { file, footer, key_count: 0, begin, end, bytes, closed: false };
        self.shared.write().add(fresh);
        Ok(())
    }

    /// Blocks of a whole segment. Bounded by `Settings::segment_bytes`.
    fn segment_blocks(&self) -> u32 {
        (self.segment_bytes / BLOCK_BYTES as u64) as u32
    }

    fn next_header(&self, now_ms: u64) -> Header {
        let partitions = self.reader().partitions();
        Header {
            journal: self.shared.id,
            identity: self.identity.clone(),
            segment: self.live.segment + 1,
            first_number: self.number,
            prior: self.prior,
            index_synced: self.index_synced,
            oldest_segment: self.oldest_segment,
            created_ms: now_ms,
            partitions,
        }
    }

    fn close_live(&self) -> io::Result<()> {
        let footer = {
            let mut catalog = self.shared.write();
            let Some(mut newest) = catalog.segments.last_entry() else { return Ok(()) };
            let footer = &mut newest.get_mut().footer;
            for (state, sent) in footer.states.iter_mut().zip(self.shared.sent().iter()) {
                state.acknowledged = sent.acknowledged;
                state.mark = sent.mark;
            }
            footer.clone()
        };
        let bytes = close_segment(&self.live.file, self.live.end, &footer)?;
        self.shared.write().closed(bytes);
        Ok(())
    }
}
