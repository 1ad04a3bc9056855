//! What a directory holds of a journal, and how a process begins with it: always with a fresh segment.
//!
//! [`find`] reads: the footers of closed segments, and the records of such as are not. [`Found::begin`] writes. In between
//! the caller looks at its index and at the log, which may know of a record that the journal's end no longer has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::{Catalog, Segment, empty_footer, note};
use crate::directory::{Directory, close_segment, read_footer, read_header};
use crate::fields::Damaged;
use crate::frame::{BLOCK_BYTES, Frame, blocks};
use crate::journal::{Journal, Reader, Start};
use crate::scan::{End, Expected, Scanned, next, scan};
use crate::segment::{Header, Identity, PartitionState};

/// Of a whole segment, the part that one has for records which is begun on a full disk.
const SMALL_SEGMENT_FRACTION: u64 = 32;

/// Sizes that a service may choose.
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

/// What a process begins with.
#[derive(Debug, Clone)]
pub struct Beginning<'a> {
    /// Whose journal it is.
    pub identity: &'a Identity,
    /// The last record that the index has; 0 if it has none.
    pub index_number: u64,
    /// Of a journal that is made anew: its id.
    pub new_id: Uuid,
    /// Of a journal that is made anew: where each partition stands before its first record.
    pub initial: &'a [PartitionState],
    /// What the log has of each partition; empty if it was not looked at. Where that is more than the journal has, the
    /// journal goes on behind it, and the positions between are in none of its records.
    pub in_log: &'a [LogEnd],
    /// In milliseconds since 1970.
    pub now_ms: u64,
}

/// Where a partition of the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Position behind its last event.
    pub next: u64,
    /// Id of that event; none if there is none.
    pub last_id: Option<Uuid>,
}

impl LogEnd {
    /// A partition goes on behind what the log has if that is more.
    fn raise(&self, state: &mut PartitionState) {
        if self.next > state.next {
            (state.next, state.last_id, state.acknowledged) = (self.next, self.last_id, self.next);
        }
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system does not do as asked.
    #[error("the journal in {} cannot {doing}: {source}; see that the disk has room and may be written", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Something else lies in the directory.
    #[error("{} is not a file of a journal; move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A segment is not there although it was needed.
    #[error("the journal in {} lacks segment {segment}, which was needed; bring the file back from where it went", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// Its number.
        segment: u64,
    },
    /// A segment cannot be read.
    #[error("{} at byte {byte}: {damaged}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// What is wrong.
        damaged: Damaged,
    },
    /// A record that was acknowledged is damaged.
    #[error("{} at byte {byte}: record {number} was acknowledged and is damaged ({damaged}): {proof}", path.display())]
    Acknowledged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        byte: u64,
        /// The record's number.
        number: u64,
        /// What is wrong.
        damaged: Damaged,
        /// What shows that it was acknowledged.
        proof: String,
    },
    /// Two segments do not belong behind each other.
    #[error("{} does not go on where the segment before it ends, at record {number}: it is a copy of another time", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The first record that does not fit.
        number: u64,
    },
    /// The journal belongs to another topic, or to another number of partitions.
    #[error("the journal in {} belongs to {found:?}, and this process has {expected:?}", path.display())]
    Identity {
        /// The directory.
        path: PathBuf,
        /// What the journal says.
        found: Box<Identity>,
        /// What the process has.
        expected: Box<Identity>,
    },
}

impl OpenError {
    /// Whether bytes are not what they were: rebuilding from the log helps where nothing brings them back.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Segment { .. } | Self::Acknowledged { .. } | Self::Line { .. } | Self::Missing { .. }
        )
    }
}

/// How the journal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// With a whole record, or with none at all.
    Whole,
    /// With something that is no whole record: of number `number`, if it ever was one.
    Torn {
        /// Its segment.
        segment: u64,
        /// Where in the segment.
        byte: u64,
        /// The number that it would have.
        number: u64,
        /// What is wrong with it.
        damaged: Damaged,
    },
}

/// What a directory holds.
#[derive(Debug)]
pub struct Found {
    directory: Directory,
    newest: Option<Newest>,
    segments: Vec<Segment>,
    /// The first of those that lack between others.
    lacking: Option<u64>,
    tail: Tail,
    /// Whether what is damaged is passed over.
    lenient: bool,
}

#[derive(Debug)]
struct Newest {
    header: Header,
    /// The last record, if the newest segment has one and is not closed: it may lie in the system's cache only.
    unsure: Option<Scanned>,
}

/// Looks at a directory without changing anything; one that does not exist holds nothing.
///
/// # Errors
/// If a segment that is needed is missing, or one cannot be read up to its end.
pub fn find(path: &Path) -> Result<Found, OpenError> {
    look(path, false)
}

/// As [`find`], for who takes over what can still be read and never writes: what is damaged, missing or foreign is passed
/// over. Records have numbers, so that what is lacking between them can be told.
///
/// # Errors
/// If the file system does not do as asked.
pub fn find_readable(path: &Path) -> Result<Found, OpenError> {
    look(path, true)
}

fn look(path: &Path, lenient: bool) -> Result<Found, OpenError> {
    let directory = Directory::new(path);
    let listing = directory.list().map_err(|source| io_error(&directory, "be listed", source))?;
    if let Some(path) = listing.foreign.into_iter().next().filter(|_| !lenient) {
        return Err(OpenError::Foreign { path });
    }
    let mut found =
        Found { directory, newest: None, segments: Vec::new(), lacking: None, tail: Tail::Whole, lenient };
    for number in listing.segments {
        found.take(number)?;
    }
    let whole = found.drop_unneeded();
    if !lenient {
        whole?;
    }
    Ok(found)
}

fn io_error(directory: &Directory, doing: &'static str, source: io::Error) -> OpenError {
    OpenError::Io { path: directory.path().to_owned(), doing, source }
}

impl Found {
    /// Number of the last record; 0 if there is none.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.footer.numbers.end - 1)
    }

    /// Up to this record the index was synced, as the last record says.
    #[must_use]
    pub fn index_synced(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.footer.index_synced)
    }

    /// Whose journal it is, if there is one.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.newest.as_ref().map(|newest| &newest.header.identity)
    }

    /// The journal's id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.newest.as_ref().map(|newest| newest.header.journal)
    }

    /// Where each partition stands behind the last record.
    #[must_use]
    pub fn partitions(&self) -> &[PartitionState] {
        self.segments.last().map_or(&[], |segment| &segment.footer.states)
    }

    /// How it ends.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Segments from the oldest on: number, numbers of the records, bytes, and whether it is closed.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Of segments before such as lack none can be needed; whether one that lacks was, the last record says.
    fn skip_gap(&mut self, number: u64) {
        let expected = self.segments.last().map(|before| before.footer.segment + 1);
        if !self.lenient && expected.is_some_and(|expected| expected != number) {
            self.lacking = expected;
            self.segments.clear();
            self.newest = None;
        }
    }

    fn take(&mut self, number: u64) -> Result<(), OpenError> {
        self.skip_gap(number);
        let failed = |source| io_error(&self.directory, "be read", source);
        let file = self.directory.open_segment(number).map_err(failed)?;
        let path = self.directory.segment(number);
        let (header, begin) = match read_header(&file).map_err(failed)? {
            Ok(found) => found,
            Err(damaged) if !self.lenient => return Err(OpenError::Segment { path, byte: 0, damaged }),
            Err(_) => match header_of_records(&std::fs::read(&path).map_err(failed)?, number) {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        if !self.lenient {
            self.check_line(&header, number, &path)?;
        }
        let bytes = file.metadata().map_err(failed)?.len();
        let closed = read_footer(&file).map_err(failed)?.filter(|(footer, _)| footer.segment == number);
        let file = Arc::new(file);
        let (segment, unsure) = match closed {
            Some((footer, end)) => {
                self.tail = Tail::Whole;
                let key_count = footer.keys.len();
                (Segment { file, footer, key_count, begin, end, bytes, closed: true }, None)
            }
            None => {
                let content = std::fs::read(&path).map_err(failed)?;
                let (footer, end, last, tail) = scan_open(&content, begin, &header, &path, self.lenient)?;
                self.tail = tail;
                let key_count = footer.keys.len();
                (Segment { file, footer, key_count, begin, end, bytes, closed: false }, last)
            }
        };
        if !self.lenient {
            self.check_copy(&segment, &header, &path)?;
        }
        self.newest = Some(Newest { header, unsure });
        self.segments.push(segment);
        Ok(())
    }

    /// A segment must be the next one, of the same journal, and begin where the one before it ends: behind its last
    /// record, or with a copy of that.
    fn check_line(&self, header: &Header, number: u64, path: &Path) -> Result<(), OpenError> {
        let line = || OpenError::Line { path: path.to_owned(), number: header.first_number };
        if header.segment != number {
            return Err(line());
        }
        let (Some(before), Some(newest)) = (self.segments.last(), &self.newest) else { return Ok(()) };
        let end = before.footer.numbers.end;
        let goes_on = header.first_number == end && header.prior == before.footer.last_sum;
        let copies = header.first_number + 1 == end;
        let same = header.journal == newest.header.journal;
        if same && (goes_on || copies) { Ok(()) } else { Err(line()) }
    }

    /// A record that lies in two segments must be the same.
    fn check_copy(&self, segment: &Segment, header: &Header, path: &Path) -> Result<(), OpenError> {
        let Some(before) = self.segments.last() else { return Ok(()) };
        if header.first_number == before.footer.numbers.end {
            return Ok(());
        }
        let failed = |source| io_error(&self.directory, "be read", source);
        let mut block = [0; BLOCK_BYTES];
        let at = u64::from(segment.begin) * BLOCK_BYTES as u64;
        std::os::unix::fs::FileExt::read_exact_at(&*segment.file, &mut block, at).map_err(failed)?;
        let same = Frame::decode(&block).is_ok_and(|frame| frame.sum() == before.footer.last_sum);
        let line = || OpenError::Line { path: path.to_owned(), number: header.first_number };
        if same { Ok(()) } else { Err(line()) }
    }

    /// Segments that a record declared as no longer needed may still be there; those that were not must be.
    fn drop_unneeded(&mut self) -> Result<(), OpenError> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        let oldest = last.footer.oldest_segment;
        self.segments.retain(|segment| segment.footer.segment >= oldest);
        match self.segments.first() {
            Some(first) if first.footer.segment > oldest => {
                let segment = self.lacking.map_or(oldest, |lacking| lacking.max(oldest));
                Err(OpenError::Missing { path: self.directory.path().to_owned(), segment })
            }
            _ => Ok(()),
        }
    }

    /// Begins to write: a torn end is cut off, what is unsure is written once more, and the old segment is closed.
    ///
    /// A record that the index has was acknowledged, so its absence is damage and not a torn end. Whoever has read the log
    /// compares it with [`Found::partitions`] before, for the same reason.
    ///
    /// # Errors
    /// If the journal belongs to somebody else, lacks what was acknowledged, or cannot be written.
    pub fn begin(mut self, beginning: &Beginning<'_>, settings: &Settings) -> Result<Journal, OpenError> {
        self.check_identity(beginning.identity)?;
        self.check_end(beginning.index_number)?;
        let segment_bytes = settings.segment_bytes.next_multiple_of(BLOCK_BYTES as u64);
        let directory = &self.directory.clone();
        let io = |doing| move |source| io_error(directory, doing, source);
        directory.make().map_err(io("be made"))?;
        let header = self.next_header(beginning);
        let (begin, copied) = self.first_blocks(&header);
        let fresh_bytes = self.spare(segment_bytes, begin.len() as u64).map_err(io("take a new segment"))?;
        let file = self.directory.begin_segment(header.segment, &begin).map_err(io("begin a segment"))?;
        // The record that says what is not needed may have been the unsure one.
        self.remove_unneeded().map_err(io("be freed of what is not needed"))?;
        // On a full disk a footer would take what the next start needs.
        let has_room = fresh_bytes == segment_bytes;
        for segment in self.segments.iter_mut().filter(|segment| has_room && !segment.closed) {
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
        let partitions = self.partitions().to_vec();
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
                for segment in self.segments.iter().filter(|segment| !segment.closed) {
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
            Some(found) if found != expected => Err(OpenError::Identity {
                path: self.directory.path().to_owned(),
                found: Box::new(found.clone()),
                expected: Box::new(expected.clone()),
            }),
            _ => Ok(()),
        }
    }

    fn check_end(&self, index_number: u64) -> Result<(), OpenError> {
        let last = self.last_number();
        if index_number <= last {
            return Ok(());
        }
        let Some(newest) = self.segments.last().map(|segment| segment.footer.segment) else {
            return Err(OpenError::Missing { path: self.directory.path().to_owned(), segment: 1 });
        };
        let (byte, number, damaged) = match &self.tail {
            Tail::Torn { byte, number, damaged, .. } => (*byte, *number, damaged.clone()),
            Tail::Whole => (0, last + 1, Damaged { what: "a record", why: "it is not there" }),
        };
        let proof = format!("the index has taken record {index_number}");
        let path = self.directory.segment(newest);
        Err(OpenError::Acknowledged { path, byte, number, damaged, proof })
    }

    fn remove_unneeded(&self) -> io::Result<()> {
        let Some(first) = self.segments.first() else { return Ok(()) };
        for number in self.directory.list()?.segments {
            if number < first.footer.segment {
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

    /// The header of a segment that goes on where the journal ends.
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
            segment: footer.segment + 1,
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

/// Reads a segment that is not closed.
fn scan_open(
    content: &[u8],
    begin: u32,
    header: &Header,
    path: &Path,
    lenient: bool,
) -> Result<(crate::segment::Footer, u32, Option<Scanned>, Tail), OpenError> {
    let expected = Expected {
        journal: header.journal,
        segment: header.segment,
        number: header.first_number,
        prior: header.prior,
    };
    let (mut records, mut end) = scan(content, begin, expected);
    while lenient && let End::Damaged { block, .. } = end {
        let (mut behind, next) = scan_behind(content, block, &expected);
        records.append(&mut behind);
        end = next;
    }
    let mut footer = empty_footer(header);
    let mut end_block = begin;
    for scanned in &records {
        note(&mut footer, scanned, &scanned.record.group.events);
        end_block = scanned.block + scanned.frame.blocks();
    }
    let byte = |block: u32| u64::from(block) * BLOCK_BYTES as u64;
    let (segment, number) = (header.segment, footer.numbers.end);
    let tail = match end {
        End::Zeros => Tail::Whole,
        End::Torn { block, damaged } => Tail::Torn { segment, byte: byte(block), number, damaged },
        End::Damaged { block, damaged, later } => {
            let proof = format!("record {later} behind it was begun only after it was on the disk");
            let path = path.to_owned();
            return Err(OpenError::Acknowledged { path, byte: byte(block), number, damaged, proof });
        }
    };
    Ok((footer, end_block, records.into_iter().next_back(), tail))
}

/// The records behind a damaged one.
fn scan_behind(content: &[u8], damaged: u32, expected: &Expected) -> (Vec<Scanned>, End) {
    let at = |block: u32| content.get(block as usize * BLOCK_BYTES..).unwrap_or_default();
    let last = blocks(content.len());
    let mut behind = (damaged + 1..last)
        .filter_map(|block| Some((block, any_record(at(block), expected.journal, expected.segment).ok()?.0)));
    match behind.next() {
        Some((block, frame)) => {
            scan(content, block, Expected { number: frame.number, prior: frame.prior, ..*expected })
        }
        None => (Vec::new(), End::Zeros),
    }
}

/// What the first record that can be read says of a segment whose header cannot be.
fn header_of_records(content: &[u8], segment: u64) -> Option<(Header, u32)> {
    let mut framed = (0..).zip(content.chunks(BLOCK_BYTES)).filter_map(|(block, bytes)| {
        Frame::decode(bytes).ok().filter(|frame| frame.segment == segment).map(|frame| (block, frame))
    });
    let (begin, frame) = framed.next()?;
    let identity = Identity { topic: String::new(), cluster: String::new(), layout: 0, partitions: 0 };
    let header = Header {
        journal: frame.journal,
        identity,
        segment,
        first_number: frame.number,
        prior: frame.prior,
        index_synced: frame.index_synced,
        oldest_segment: frame.oldest_segment,
        created_ms: frame.committed_ms,
        partitions: Vec::new(),
    };
    Some((header, begin))
}

/// The record at the beginning of `bytes`, whichever it is, if it is of this journal and segment.
pub(crate) fn any_record(
    bytes: &[u8],
    journal: Uuid,
    segment: u64,
) -> Result<(Frame, crate::Record), Damaged> {
    let frame = Frame::decode(bytes)?;
    next(bytes, &Expected { journal, segment, number: frame.number, prior: frame.prior })
}
