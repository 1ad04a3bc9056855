//! What a directory holds of a journal.
//!
//! [`find`] reads: the footers of closed segments, and the records of such as are not. [`Found::begin`] writes. In between
//! the caller looks at its index and at the log, which may know of a record that the journal's end no longer has, and may
//! have what was lost with a segment before the newest one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::Segment;
use crate::directory::{Directory, is_unreadable, read_content, read_footer, read_header, read_record};
use crate::errors::OpenError;
use crate::fields::Damaged;
use crate::footer::Footer;
use crate::frame::BLOCK_BYTES;
use crate::scan::{Scanned, any_record, header_of_records, scan_open};
use crate::segment::{Header, Identity, PartitionState};

const NOT_GIVEN: Damaged = Damaged { what: "a segment", why: "the disk does not give its bytes" };

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// With a whole record, or with none at all.
    Whole,
    /// With something that is no whole record: of number `number`, if it ever was one.
    Torn {
        segment: u64,
        byte: u64,
        /// The number that it would have.
        number: u64,
        damaged: Damaged,
    },
}

#[derive(Debug, Clone)]
pub struct Found {
    pub(crate) directory: Directory,
    pub(crate) newest: Option<Newest>,
    /// From the oldest on.
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: Tail,
    damage: Vec<Damage>,
    /// Number of the newest segment, if there was another one.
    lost: Option<u64>,
    /// Number that the next segment should have.
    expected: Option<u64>,
    /// Whether the newest segment may be damaged as well, and there may be foreign files.
    lenient: bool,
}

#[derive(Debug, Clone)]
struct Damage {
    segments: Range<u64>,
    error: Arc<OpenError>,
}

#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub(crate) header: Header,
    /// The last record, if the newest segment has one and is not closed: it may lie in the system's cache only.
    pub(crate) unsure: Option<Scanned>,
}

/// Looks at a directory without changing anything; one that does not exist holds nothing. Segments before the newest one may
/// be damaged or missing: [`Found::damage`] says so, and whether what was lost is needed the caller finds out.
/// Errors: If the newest segment cannot be read up to its end, or segments do not belong behind each other.
pub fn find(path: &Path) -> Result<Found, OpenError> {
    read_at(path, false)
}

/// As [`find`], for who takes over what can still be read and never writes: what is foreign is passed over as well. Records have
/// numbers, so that what is lacking between them is known.
/// Errors: If the file system does not do as asked.
pub fn find_readable(path: &Path) -> Result<Found, OpenError> {
    read_at(path, true)
}

fn read_at(path: &Path, lenient: bool) -> Result<Found, OpenError> {
    let directory = Directory::new(path);
    let listing = directory.list().map_err(|source| io_error(&directory, "be listed", source))?;
    if let Some(path) = listing.foreign.into_iter().next().filter(|_| !lenient) {
        return Err(OpenError::Foreign { path });
    }
    let mut found = Found {
        directory,
        newest: None,
        segments: Vec::new(),
        tail: Tail::Whole,
        damage: Vec::new(),
        lost: None,
        expected: None,
        lenient,
    };
    let newest = listing.segments.last().copied();
    for number in listing.segments {
        found.take(number, Some(number) == newest)?;
    }
    found.drop_unneeded();
    found.lost = found.find_lost()?;
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

    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.newest.as_ref().map(|newest| &newest.header.identity)
    }

    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.newest.as_ref().map(|newest| newest.header.journal)
    }

    #[must_use]
    pub fn partitions(&self) -> &[PartitionState] {
        self.segments.last().map_or(&[], |segment| &segment.footer.states)
    }

    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Number of the last segment, if nothing of it can be read or it is gone: what it held is not known.
    #[must_use]
    pub fn unreadable_end(&self) -> Option<u64> {
        let read = self.segments.last().map_or(0, |last| last.footer.segment);
        self.expected.map(|behind| behind - 1).filter(|listed| *listed > read).or(self.lost)
    }

    /// Whether there must have been another segment behind the newest one.
    #[must_use]
    pub fn lost_newest(&self) -> Option<OpenError> {
        self.lost.map(|segment| OpenError::Missing { path: self.directory.path().to_owned(), segment })
    }

    /// What of segments before the newest one cannot be read. What it was is not known; where partitions stood behind it is.
    pub fn damage(&self) -> impl Iterator<Item = &OpenError> {
        self.damage.iter().map(|damage| &*damage.error)
    }

    /// Whether something of this segment cannot be read.
    pub(crate) fn is_damaged(&self, segment: u64) -> bool {
        self.damage.iter().any(|damage| damage.segments.contains(&segment))
    }

    fn note_damage(&mut self, segment: u64, error: OpenError) {
        self.damage.push(Damage { segments: segment..segment + 1, error: Arc::new(error) });
    }

    /// Of a segment that is not the newest one damage is noted, of the newest one it is an error.
    fn pass_over(&mut self, segment: u64, is_newest: bool, error: OpenError) -> Result<(), OpenError> {
        if is_newest && !self.lenient {
            return Err(error);
        }
        self.note_damage(segment, error);
        Ok(())
    }

    fn miss(&mut self, segments: Range<u64>) {
        let error = OpenError::Missing { path: self.directory.path().to_owned(), segment: segments.start };
        self.damage.push(Damage { segments, error: Arc::new(error) });
    }

    /// What was read; or that the disk does not give it, which of the newest segment is an error, since it may pass.
    fn given<T>(
        &self,
        read: io::Result<T>,
        path: &Path,
        is_newest: bool,
    ) -> Result<Result<T, Damaged>, OpenError> {
        match read {
            Ok(read) => Ok(Ok(read)),
            Err(error) if is_unreadable(&error) && (self.lenient || !is_newest) => Ok(Err(NOT_GIVEN)),
            Err(source) => Err(OpenError::Io { path: path.to_owned(), doing: "be read", source }),
        }
    }

    fn take(&mut self, number: u64, is_newest: bool) -> Result<(), OpenError> {
        let expected = self.expected.replace(number + 1).unwrap_or(number);
        if expected != number {
            self.miss(expected..number);
        }
        let path = self.directory.segment(number);
        let damaged_at = |damaged| OpenError::Segment { path: path.clone(), byte: 0, damaged };
        let file = match self.given(self.directory.open_segment(number), &path, is_newest)? {
            Ok(file) => file,
            Err(damaged) => {
                self.note_damage(number, damaged_at(damaged));
                return Ok(());
            }
        };
        let Some((header, begin)) = self.header(&file, number, is_newest)? else { return Ok(()) };
        if !self.lenient {
            self.check_line(&header, number, &path)?;
        }
        let failed = |source| OpenError::Io { path: path.clone(), doing: "be read", source };
        let bytes = file.metadata().map_err(failed)?.len();
        let closed = self.given(read_footer(&file), &path, is_newest)?.unwrap_or_default();
        let closed = closed.filter(|(footer, _)| footer.segment == number);
        let (mut segment, unsure) = match closed {
            Some((footer, end)) => {
                self.tail = Tail::Whole;
                let (key_count, file) = (footer.keys.len(), Arc::new(file));
                (Segment { file, footer, key_count, begin, end, bytes, closed: true }, None)
            }
            None => {
                let content = read_content(&file, self.lenient || !is_newest).map_err(failed)?;
                let scanned = match scan_open(&content, begin, &header, &path, false) {
                    Err(error) => {
                        // What the newest one has lost, no header behind it says.
                        self.pass_over(number, is_newest, error)?;
                        scan_open(&content, begin, &header, &path, true)
                    }
                    scanned => scanned,
                };
                let (footer, end, last, tail) = scanned?;
                self.tail = tail;
                let (key_count, file) = (footer.keys.len(), Arc::new(file));
                (Segment { file, footer, key_count, begin, end, bytes, closed: false }, last)
            }
        };
        match self.segments.last() {
            Some(before) if segment.lost_its_copy_of(before) => {
                // Nothing came behind the copy, so the record still lies where it was copied from.
                let Footer { numbers, last_sum, last_committed_ms, .. } = &before.footer;
                segment.footer.numbers = numbers.end..numbers.end;
                (segment.footer.last_sum, segment.footer.last_committed_ms) = (*last_sum, *last_committed_ms);
            }
            _ => match self.check_copy(&segment, &header, &path) {
                Err(error @ OpenError::Segment { .. }) => {
                    segment.leave_out_copy();
                    self.note_damage(number, error);
                }
                Err(error) if !self.lenient => return Err(error),
                _ => {}
            },
        }
        self.newest = Some(Newest { header, unsure });
        self.segments.push(segment);
        Ok(())
    }

    /// The header of a segment, and the block behind it; where it cannot be read, what the records say. None if none of them
    /// can be read either.
    fn header(
        &mut self,
        file: &File,
        number: u64,
        is_newest: bool,
    ) -> Result<Option<(Header, u32)>, OpenError> {
        let path = self.directory.segment(number);
        match self.given(read_header(file), &path, is_newest)?.and_then(|header| header) {
            Ok(found) => Ok(Some(found)),
            Err(damaged) => {
                let error = OpenError::Segment { path: path.clone(), byte: 0, damaged };
                self.pass_over(number, is_newest, error)?;
                let failed = |source| OpenError::Io { path, doing: "be read", source };
                let content = read_content(file, self.lenient || !is_newest).map_err(failed)?;
                Ok(header_of_records(&content, number, self.identity(), self.partitions()))
            }
        }
    }

    /// A segment must be of the same journal, and begin where the one before it ends: behind its last record, or with a copy
    /// of that. Where something before it cannot be read, it may begin later.
    fn check_line(&mut self, header: &Header, number: u64, path: &Path) -> Result<(), OpenError> {
        let line = || OpenError::Line { path: path.to_owned(), number: header.first_number };
        if header.segment != number {
            return Err(line());
        }
        let (Some(before), Some(newest)) = (self.segments.last(), &self.newest) else { return Ok(()) };
        let (before_number, end) = (before.footer.segment, before.footer.numbers.end);
        let continues = header.first_number == end && header.prior == before.footer.last_sum;
        let copies = header.first_number + 1 == end;
        match header.journal == newest.header.journal {
            true if continues || copies => Ok(()),
            true if header.first_number > end && (before_number + 1 != number || self.is_damaged(number)) => {
                Ok(())
            }
            true if header.first_number > end && !before.closed => {
                let error = self.lost_end(before, header);
                self.note_damage(before_number, error);
                Ok(())
            }
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
        if header.first_number + 1 != before.footer.numbers.end {
            return Ok(());
        }
        let at = u64::from(segment.begin) * BLOCK_BYTES as u64;
        let damaged_at = |damaged| OpenError::Segment { path: path.to_owned(), byte: at, damaged };
        let read = read_record(&segment.file, at);
        let bytes = self.given(read, path, false)?.map_err(damaged_at)?;
        match any_record(&bytes, header.journal, header.segment) {
            Ok((frame, _)) if frame.sum() == before.footer.last_sum => Ok(()),
            Ok(_) => Err(OpenError::Line { path: path.to_owned(), number: header.first_number }),
            Err(damaged) => Err(damaged_at(damaged)),
        }
    }

    /// Number of the segment that must have been behind the newest one.
    fn find_lost(&self) -> Result<Option<u64>, OpenError> {
        let Some(last) = self.segments.last() else { return Ok(None) };
        let number = last.footer.segment;
        let failed =
            |source| OpenError::Io { path: self.directory.segment(number), doing: "be read", source };
        Ok(last.proves_another().map_err(failed)?.then_some(number + 1))
    }

    /// Segments that a record declared as no longer needed may still be there, and may be damaged; those that were not must
    /// be.
    fn drop_unneeded(&mut self) {
        let Some(last) = self.segments.last() else { return };
        let oldest = last.footer.oldest_segment;
        self.segments.retain(|segment| segment.footer.segment >= oldest);
        self.damage.retain(|damage| damage.segments.end > oldest);
        let missing_before = self
            .damage
            .extract_if(.., |damage| damage.segments.start < oldest)
            .map(|damage| damage.segments.end);
        for end in missing_before.collect::<Vec<_>>() {
            self.miss(oldest..end);
        }
        let first = self.segments.first().map_or(oldest, |first| first.footer.segment);
        if (oldest..first).any(|segment| !self.is_damaged(segment)) {
            self.miss(oldest..first);
        }
    }
}
