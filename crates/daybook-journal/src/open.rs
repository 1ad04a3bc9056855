//! What a directory holds of a journal.
//!
//! [`find`] reads: the footers of closed segments, and the records of such as are not. [`Found::begin`] writes. In between
//! the caller looks at its index and at the log, which may know of a record that the journal's end no longer has.

use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::Segment;
use crate::directory::{Directory, read_footer, read_header};
use crate::errors::OpenError;
use crate::fields::Damaged;
use crate::frame::{BLOCK_BYTES, Frame};
use crate::scan::Scanned;
use crate::segment::{Header, Identity, PartitionState};
use crate::unclosed::{header_of_records, scan_open};

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
#[derive(Debug, Clone)]
pub struct Found {
    pub(crate) directory: Directory,
    pub(crate) newest: Option<Newest>,
    pub(crate) segments: Vec<Segment>,
    /// The first of those that lack between others.
    lacking: Option<u64>,
    pub(crate) tail: Tail,
    /// The last segment, if nothing of it can be read and that was passed over.
    unreadable_end: Option<u64>,
    /// Whether what is damaged is passed over.
    lenient: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub(crate) header: Header,
    /// The last record, if the newest segment has one and is not closed: it may lie in the system's cache only.
    pub(crate) unsure: Option<Scanned>,
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
    let mut found = Found {
        directory,
        newest: None,
        segments: Vec::new(),
        lacking: None,
        tail: Tail::Whole,
        unreadable_end: None,
        lenient,
    };
    for number in listing.segments {
        found.take(number)?;
    }
    let whole = found.drop_unneeded();
    if !lenient {
        whole?;
    }
    Ok(found)
}

pub(crate) fn io_error(directory: &Directory, doing: &'static str, source: io::Error) -> OpenError {
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

    /// Number of the last segment, if nothing of it can be read: what it held nobody can tell.
    #[must_use]
    pub fn unreadable_end(&self) -> Option<u64> {
        self.unreadable_end
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
            Err(_) => {
                let content = std::fs::read(&path).map_err(failed)?;
                match header_of_records(&content, number, self.partitions()) {
                    Some(found) => found,
                    None => {
                        self.unreadable_end = Some(number);
                        return Ok(());
                    }
                }
            }
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
        self.unreadable_end = None;
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
        match header.journal == newest.header.journal {
            true if goes_on || copies => Ok(()),
            true if header.first_number > end && !before.closed => Err(self.lost_end(before, header)),
            _ => Err(line()),
        }
    }

    /// The segment before the one with this header has lost its footer, and records before that.
    fn lost_end(&self, before: &Segment, header: &Header) -> OpenError {
        let (byte, damaged) = match &self.tail {
            Tail::Torn { byte, damaged, .. } => (*byte, damaged.clone()),
            Tail::Whole => {
                let damaged = Damaged { what: "a record", why: "it is not there" };
                (u64::from(before.end) * BLOCK_BYTES as u64, damaged)
            }
        };
        OpenError::Acknowledged {
            path: self.directory.segment(before.footer.segment),
            byte,
            number: before.footer.numbers.end,
            damaged,
            proof: format!("the segment behind it begins with record {}", header.first_number),
        }
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
        match Frame::decode(&block) {
            Ok(frame) if frame.sum() == before.footer.last_sum => Ok(()),
            Ok(_) => Err(OpenError::Line { path: path.to_owned(), number: header.first_number }),
            Err(damaged) => Err(OpenError::Segment { path: path.to_owned(), byte: at, damaged }),
        }
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
}
