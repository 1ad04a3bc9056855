//! What lies where: segments, the records that have events of a partition, and those that have idempotency keys.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::directory::read_content;
use crate::footer::{Footer, PartitionEvents, Run};
use crate::frame::{BLOCK_BYTES, Frame, Kind};
use crate::keys::{KeyAt, Keys};
use crate::locations::Locations;
use crate::reader::Recent;
use crate::record::Event;
use crate::scan::Scanned;
use crate::segment::PartitionState;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub segment: u64,
    pub block: u32,
}

pub type Events = Arc<Vec<Event>>;

/// One segment as a start or a reader needs it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<File>,
    /// Without its keys if the segment is closed and was taken into a [`Catalog`].
    pub(crate) footer: Footer,
    pub(crate) key_count: usize,
    /// The block behind its header.
    pub(crate) begin: u32,
    /// The block behind its last record.
    pub(crate) end: u32,
    pub(crate) bytes: u64,
    pub(crate) closed: bool,
}

impl Segment {
    /// A segment is closed once there is the next one, or, with a note as its last record, when a process ends in order.
    pub(crate) fn proves_another(&self) -> io::Result<bool> {
        if !self.closed {
            return Ok(false);
        }
        let content = read_content(&self.file, true)?;
        let records = content.get(..self.end as usize * BLOCK_BYTES).unwrap_or_default();
        let mut frames = records.chunks(BLOCK_BYTES).rev().filter_map(|block| Frame::decode(block).ok());
        let is_last =
            |frame: &Frame| frame.segment == self.footer.segment && frame.sum() == self.footer.last_sum;
        Ok(frames.find(is_last).is_some_and(|last| last.kind != Kind::Note))
    }

    /// The copy that it begins with cannot be read: the record it was made of counts.
    pub(crate) fn leave_out_copy(&mut self) {
        let copy = self.begin;
        for events in &mut self.footer.partitions {
            events.runs.retain(|run| run.block != copy);
            events.bytes = events.runs.iter().map(|run| u64::from(run.bytes)).sum();
        }
        self.footer.keys.retain(|(_, block)| *block != copy);
        self.key_count = self.footer.keys.len();
        self.footer.numbers.start += 1;
    }

    /// Whether it begins with a copy of the last record of the one before it, and has nothing of that, and nothing else.
    pub(crate) fn lost_its_copy_of(&self, before: &Self) -> bool {
        let (numbers, end) = (&self.footer.numbers, before.footer.numbers.end);
        !self.closed && numbers.is_empty() && numbers.start + 1 == end
    }
}

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) segments: BTreeMap<u64, Segment>,
    locations: Vec<Locations>,
    keys: Keys,
    /// Of all segments.
    bytes: u64,
    /// Per partition: of its events in all segments.
    event_bytes: Vec<u64>,
    /// Of the records that were appended last.
    recent: Recent,
}

impl Catalog {
    pub(crate) fn new(partitions: usize, recent_bytes_max: usize) -> Self {
        let locations = (0..partitions).map(|_| Locations::default()).collect();
        let event_bytes = vec![0; partitions];
        Self { locations, event_bytes, recent: Recent::new(recent_bytes_max), ..Self::default() }
    }

    /// Makes room for so many keys at once.
    pub(crate) fn reserve_keys(&mut self, keys: usize) {
        self.keys.reserve(keys);
    }

    /// Takes a segment in. Of a record that lies in two segments the later one counts.
    pub(crate) fn add(&mut self, mut segment: Segment) {
        let number = segment.footer.segment;
        for (locations, events) in self.locations.iter_mut().zip(&segment.footer.partitions) {
            events.runs.iter().for_each(|run| locations.put(number, run));
        }
        self.keys.extend(number, segment.footer.keys.iter().copied());
        if segment.closed {
            segment.footer.keys = Vec::new();
        }
        self.bytes += segment.bytes;
        for (bytes, events) in self.event_bytes.iter_mut().zip(&segment.footer.partitions) {
            *bytes += events.bytes;
        }
        self.segments.insert(number, segment);
    }

    /// Takes a record of the newest segment in.
    pub(crate) fn appended(&mut self, scanned: &Scanned, events: &Events) {
        let Some(mut newest) = self.segments.last_entry() else { return };
        let segment = newest.get_mut();
        let location = Location { segment: segment.footer.segment, block: scanned.block };
        let runs = note(&mut segment.footer, scanned, events);
        segment.end = scanned.block + scanned.frame.blocks();
        segment.key_count += scanned.record.group.keys.len();
        for (partition, run) in runs {
            self.locations[partition].put(location.segment, &run);
            self.event_bytes[partition] += u64::from(run.bytes);
        }
        let keys = &scanned.record.group.keys;
        self.keys.extend(location.segment, keys.iter().map(|key| (key.hash, location.block)));
        self.recent.put(location, events);
    }

    /// The events of a record that was appended lately.
    pub(crate) fn recent(&self, location: Location) -> Option<Events> {
        self.recent.get(location)
    }

    pub(crate) fn recent_bytes_max(&self) -> usize {
        self.recent.bytes_max()
    }

    /// The newest segment was closed, and has so many bytes now. Its footer has its keys.
    pub(crate) fn closed(&mut self, bytes: u64) {
        let Some(mut newest) = self.segments.last_entry() else { return };
        let segment = newest.get_mut();
        self.bytes = self.bytes - segment.bytes + bytes;
        (segment.bytes, segment.closed) = (bytes, true);
        segment.footer.keys = Vec::new();
    }

    /// Forgets a segment, which is about to be removed. `keys` are its keys if they are known.
    pub(crate) fn remove(&mut self, number: u64, keys: Option<&[KeyAt]>) {
        let Some(segment) = self.segments.remove(&number) else { return };
        let partitions = self.locations.iter_mut().zip(&mut self.event_bytes).zip(&segment.footer.partitions);
        for ((locations, bytes), events) in partitions {
            *bytes -= events.bytes;
            locations.forget(number, &events.runs);
        }
        self.bytes -= segment.bytes;
        match keys {
            Some(keys) => self.keys.forget(number, keys),
            None => self.keys.forget_all_of(number),
        }
    }

    /// The record that has `position`, if it is kept.
    pub(crate) fn events_at(&self, partition: usize, position: u64) -> Option<Location> {
        self.locations.get(partition)?.at(position)
    }

    /// Of these positions of a partition, those that no record has.
    pub(crate) fn missing(&self, partition: usize, positions: Range<u64>) -> Vec<Range<u64>> {
        self.locations.get(partition).map_or_else(Vec::new, |locations| locations.missing(positions))
    }

    pub(crate) fn kept_from(&self, partition: usize) -> Option<u64> {
        self.locations.get(partition)?.first()
    }

    /// Numbers of the records that count in a segment: of one that lies in two segments the later copy does.
    pub(crate) fn numbers(&self, segment: u64) -> Range<u64> {
        let start = |segment: &Segment| segment.footer.numbers.start;
        let newer = self.segments.range(segment + 1..).next();
        self.segments.get(&segment).map_or(0, start)..newer.map_or(u64::MAX, |(_, newer)| start(newer))
    }

    pub(crate) fn key(&self, hash: &[u8; 16]) -> Option<Location> {
        self.keys.get(hash)
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn file(&self, number: u64) -> Option<Arc<File>> {
        self.segments.get(&number).map(|segment| Arc::clone(&segment.file))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of a partition's events in all segments.
    pub(crate) fn event_bytes(&self, partition: usize) -> u64 {
        self.event_bytes.get(partition).copied().unwrap_or_default()
    }

    pub(crate) fn states(&self) -> Vec<PartitionState> {
        self.newest().map(|newest| newest.footer.states.clone()).unwrap_or_default()
    }

    pub(crate) fn newest(&self) -> Option<&Segment> {
        self.segments.values().next_back()
    }

    pub(crate) fn oldest(&self) -> Option<&Segment> {
        self.segments.values().next()
    }
}

/// Adds a record to what a segment's footer is going to say. Returns what it has of which partition.
pub(crate) fn note(footer: &mut Footer, scanned: &Scanned, events: &[Event]) -> Vec<(usize, Run)> {
    let Scanned { block, frame, record } = scanned;
    footer.numbers.end = frame.number + 1;
    footer.last_sum = frame.sum();
    footer.last_committed_ms = frame.committed_ms;
    footer.index_synced = frame.index_synced;
    footer.oldest_segment = frame.oldest_segment;
    footer.keys.extend(record.group.keys.iter().map(|key| (key.hash, *block)));
    for event in events {
        // What is carried was counted where it was written first.
        let state = footer.states.get_mut(event.partition as usize);
        if let Some(state) = state.filter(|state| event.position >= state.next) {
            state.next = event.position + 1;
            state.last_id = Some(event.id);
        }
    }
    let mut runs = runs(events, *block);
    runs.retain(|(partition, _)| *partition < footer.partitions.len());
    runs.iter().for_each(|(partition, run)| footer.partitions[*partition].push(*run));
    runs
}

/// The events of a record, in pieces that follow one another: one for each partition that a group has events of, more where
/// what is carried has gaps.
fn runs(events: &[Event], block: u32) -> Vec<(usize, Run)> {
    let mut runs: Vec<(usize, Run)> = Vec::new();
    let mut last_of: BTreeMap<usize, usize> = BTreeMap::new();
    for event in events {
        // Bounded by `RECORD_BYTES_MAX`.
        let (partition, bytes) = (event.partition as usize, event.bytes() as u32);
        let last = last_of.get(&partition).and_then(|last| runs.get_mut(*last));
        match last.filter(|(_, run)| run.end() == event.position) {
            Some((_, run)) => (run.count, run.bytes) = (run.count + 1, run.bytes + bytes),
            None => {
                last_of.insert(partition, runs.len());
                runs.push((partition, Run { first: event.position, count: 1, bytes, block }));
            }
        }
    }
    runs
}

/// What the footer of a segment says that has no record yet.
pub(crate) fn empty_footer(header: &crate::segment::Header) -> Footer {
    Footer {
        segment: header.segment,
        numbers: header.first_number..header.first_number,
        last_sum: header.prior,
        last_committed_ms: 0,
        index_synced: header.index_synced,
        oldest_segment: header.oldest_segment,
        partitions: header.partitions.iter().map(|_| PartitionEvents::default()).collect(),
        states: header.partitions.clone(),
        keys: Vec::new(),
    }
}
