//! Reading from a journal, also while it is written. Events that came or were read last are in memory, bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use uuid::Uuid;

use crate::catalog::{Catalog, Events, Location};
use crate::directory::{Directory, read_footer};
use crate::errors::ReadError;
use crate::fields::Damaged;
use crate::frame::{BLOCK_BYTES, Frame};
use crate::keys::KeyAt;
use crate::record::{Event, KeyOutcome, Record};
use crate::scan::any_record;
use crate::segment::{Mark, PartitionState};

/// What the relay knows of a partition, for the header of the next segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) acknowledged: u64,
    pub(crate) mark: Mark,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    pub(crate) id: Uuid,
    catalog: RwLock<Catalog>,
    /// Of the records that were read back last. A lock of its own: who reads back must not hold up who appends.
    read_back: Mutex<Recent>,
    sent: Mutex<Vec<Sent>>,
}

impl Shared {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of a segment, if they can be read.
    pub(crate) fn keys_of(&self, segment: u64) -> Option<Vec<KeyAt>> {
        let file = {
            let catalog = self.read();
            let segment = catalog.segments.get(&segment)?;
            if !segment.closed || segment.key_count == 0 {
                return Some(segment.footer.keys.clone());
            }
            Arc::clone(&segment.file)
        };
        let (footer, _) = read_footer(&file).ok()??;
        (footer.segment == segment).then_some(footer.keys)
    }

    fn read_back(&self) -> MutexGuard<'_, Recent> {
        self.read_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the journal beside its writer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn of(directory: Directory, id: Uuid, catalog: Catalog, states: &[PartitionState]) -> Self {
        let sent = |state: &PartitionState| Sent { acknowledged: state.acknowledged, mark: state.mark };
        let sent = Mutex::new(states.iter().map(sent).collect());
        let read_back = Mutex::new(Recent::new(catalog.recent_bytes_max()));
        Self { shared: Arc::new(Shared { directory, id, catalog: RwLock::new(catalog), read_back, sent }) }
    }

    /// The relay: Kafka has acknowledged a partition up to before this position, and its last event lies at this mark.
    pub fn sent(&self, partition: usize, acknowledged: u64, mark: Option<Mark>) {
        if let Some(sent) = self.shared.sent().get_mut(partition) {
            sent.acknowledged = acknowledged;
            sent.mark = mark.unwrap_or(sent.mark);
        }
    }

    /// The events of the record that has `position` of a partition, if it is kept.
    pub fn events(&self, partition: usize, position: u64) -> Result<Option<Events>, ReadError> {
        // The file together with the location: the segment may be removed in the very next moment.
        let (location, recent, file) = {
            let catalog = self.shared.read();
            let Some(location) = catalog.events_at(partition, position) else { return Ok(None) };
            (location, catalog.recent(location), catalog.file(location.segment))
        };
        let events = match recent {
            Some(events) => events,
            None => self.read_back(location, file)?,
        };
        let has = |event: &Event| event.partition as usize == partition && event.position == position;
        Ok(events.iter().any(has).then_some(events))
    }

    /// The events of a record that is not among those appended last. Who is behind asks for one record once for each
    /// partition that it has events of; mostly it is decoded for the first of them only.
    fn read_back(&self, location: Location, file: Option<Arc<File>>) -> Result<Events, ReadError> {
        let known = self.shared.read_back().get(location);
        if let Some(events) = known {
            return Ok(events);
        }
        let events = Arc::new(self.record_of(location, file)?.1.group.events);
        self.shared.read_back().put(location, &events);
        Ok(events)
    }

    /// What became of the request with this idempotency key, and when that was decided.
    pub fn outcome(&self, hash: &[u8; 16]) -> Result<Option<(u64, KeyOutcome)>, ReadError> {
        let (location, file) = {
            let catalog = self.shared.read();
            let Some(location) = catalog.key(hash) else { return Ok(None) };
            (location, catalog.file(location.segment))
        };
        let record = self.record_of(location, file)?.1;
        let key = record.group.keys.into_iter().rev().find(|key| key.hash == *hash);
        Ok(key.map(|key| (record.committed_ms, key)))
    }

    /// Where each partition stands behind the last record, and what Kafka has of it as far as that was reported.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionState> {
        let mut states = self.shared.read().states();
        for (state, sent) in states.iter_mut().zip(self.shared.sent().iter()) {
            (state.acknowledged, state.mark) = (sent.acknowledged, sent.mark);
        }
        states
    }

    #[must_use]
    pub fn id(&self) -> Uuid {
        self.shared.id
    }

    /// First position of a partition that is kept; none if none is. Not every one behind it is there: where the log had more
    /// than the journal when that was begun with, what the log has is not.
    #[must_use]
    pub fn kept_from(&self, partition: usize) -> Option<u64> {
        self.shared.read().kept_from(partition)
    }

    /// Of these positions of a partition, those that are in no record.
    #[must_use]
    pub fn missing(&self, partition: usize, positions: Range<u64>) -> Vec<Range<u64>> {
        self.shared.read().missing(partition, positions)
    }

    #[must_use]
    pub fn keys(&self) -> usize {
        self.shared.read().key_count()
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.read().bytes()
    }

    /// All records from this number on, in their order; each once.
    /// Errors: What cannot be read is one error, and what comes behind it follows.
    pub fn records_from(&self, number: u64) -> impl Iterator<Item = Result<Record, ReadError>> + '_ {
        let segments: Vec<_> = {
            let catalog = self.shared.read();
            let wanted = catalog.segments.values().filter(|segment| segment.footer.numbers.end > number);
            wanted.map(|segment| (segment.footer.segment, segment.begin, segment.end)).collect()
        };
        let walk = move |(segment, begin, end)| self.walk(segment, begin, end, number);
        segments.into_iter().flat_map(walk)
    }

    /// The records that count in a segment, from number `from` on. What is damaged is one error, and what comes behind it
    /// goes on.
    pub(crate) fn walk(
        &self,
        segment: u64,
        begin: u32,
        end: u32,
        from: u64,
    ) -> impl Iterator<Item = Result<Record, ReadError>> + '_ {
        let mut block = begin;
        let mut numbers = self.shared.read().numbers(segment);
        std::iter::from_fn(move || {
            while block < end && !numbers.is_empty() {
                let location = Location { segment, block };
                match self.record(location) {
                    Ok((frame, record)) => {
                        block += frame.blocks();
                        numbers.start = record.number + 1;
                        if record.number >= from {
                            return Some(Ok(record));
                        }
                    }
                    Err(error) => {
                        let behind = (block + 1..end)
                            .find(|block| self.frame(Location { block: *block, ..location }).is_ok());
                        block = behind.unwrap_or(end);
                        let next = self.frame(Location { segment, block }).map(|frame| frame.number);
                        // A copy of what lies in the segment before is not missed.
                        let is_missed = next.as_ref().is_ok_and(|next| *next > from.max(numbers.start));
                        numbers.start = next.unwrap_or(numbers.start);
                        if behind.is_none() || is_missed {
                            return Some(Err(error));
                        }
                    }
                }
            }
            None
        })
    }

    fn frame(&self, location: Location) -> Result<Frame, ReadError> {
        Ok(self.record(location)?.0)
    }

    pub(crate) fn record(&self, location: Location) -> Result<(Frame, Record), ReadError> {
        let file = self.shared.read().file(location.segment);
        self.record_of(location, file)
    }

    /// `file` is its segment's; none if that is not there any more.
    fn record_of(&self, location: Location, file: Option<Arc<File>>) -> Result<(Frame, Record), ReadError> {
        let Location { segment, block } = location;
        let path = self.shared.directory.segment(segment);
        let byte = u64::from(block) * BLOCK_BYTES as u64;
        let io = |source: io::Error| match source.kind() {
            // Another process has cut the file: that does not pass.
            io::ErrorKind::UnexpectedEof => {
                let damaged = Damaged { what: "a record", why: "the segment ends before it" };
                ReadError::Damaged { path: path.clone(), byte, damaged }
            }
            _ => ReadError::Io { path: path.clone(), byte, source },
        };
        let file = file.ok_or_else(|| io(io::ErrorKind::NotFound.into()))?;
        let mut bytes = vec![0; BLOCK_BYTES];
        read_blocks(&file, &mut bytes, byte).map_err(io)?;
        let frame = Frame::decode(&bytes);
        let frame = frame.map_err(|damaged| ReadError::Damaged { path: path.clone(), byte, damaged })?;
        let whole = frame.blocks() as usize * BLOCK_BYTES;
        if whole > BLOCK_BYTES {
            bytes.resize(whole, 0);
            read_blocks(&file, &mut bytes[BLOCK_BYTES..], byte + BLOCK_BYTES as u64).map_err(io)?;
        }
        let record = any_record(&bytes, self.shared.id, segment);
        record.map_err(|damaged| ReadError::Damaged { path: path.clone(), byte, damaged })
    }
}

/// Reads blocks that begin in a file. What fills the last one up may have been cut off: then there are zeros, and whether
/// a record is whole its checksum says.
fn read_blocks(file: &File, to: &mut [u8], at: u64) -> io::Result<()> {
    let mut read = 0;
    while read < to.len() {
        match file.read_at(&mut to[read..], at + read as u64) {
            Ok(0) if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    to[read..].fill(0);
    Ok(())
}

/// The events of the records that came last.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    events: HashMap<Location, Events>,
    /// In the order in which they came, each with its bytes.
    order: VecDeque<(Location, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(crate) fn get(&self, location: Location) -> Option<Events> {
        self.events.get(&location).map(Arc::clone)
    }

    /// Takes the events of a record in. What is larger than the bound is not kept, and drives nothing out.
    pub(crate) fn put(&mut self, location: Location, events: &Events) {
        let bytes = events.iter().map(Event::bytes).sum();
        if bytes > self.bytes_max || self.events.contains_key(&location) {
            return;
        }
        self.events.insert(location, Arc::clone(events));
        self.order.push_back((location, bytes));
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            let Some((oldest, bytes)) = self.order.pop_front() else { return };
            self.events.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}
