//! What lies where: segments, the records that have events of a partition, and those that have idempotency keys.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use crate::keys::{KeyAt, Keys};
use crate::recent::Recent;
use crate::record::Event;
use crate::scan::Scanned;
use crate::segment::{EventsAt, Footer, PartitionEvents, PartitionState};

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of its segment.
    pub segment: u64,
    /// Its first block.
    pub block: u32,
}

/// The events of one record.
pub type Events = Arc<Vec<Event>>;

/// One segment as a start or a reader needs it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<File>,
    /// Without its keys if the segment is closed and was taken into a [`Catalog`].
    pub(crate) footer: Footer,
    /// How many idempotency keys it has.
    pub(crate) key_count: usize,
    /// The block behind its header.
    pub(crate) begin: u32,
    /// The block behind its last record.
    pub(crate) end: u32,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    pub(crate) closed: bool,
}

impl Segment {
    /// Per partition: no event of the segment has this position or a later one; none if it has no event.
    pub(crate) fn ends(&self) -> Vec<Option<u64>> {
        let partitions = self.footer.partitions.iter().zip(&self.footer.states);
        partitions.map(|(events, state)| (!events.at.is_empty()).then_some(state.next)).collect()
    }
}

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Per partition, by position: the record that begins with it.
    places: Vec<BTreeMap<u64, Place>>,
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
        let places = (0..partitions).map(|_| BTreeMap::new()).collect();
        let event_bytes = vec![0; partitions];
        Self { places, event_bytes, recent: Recent::new(recent_bytes_max), ..Self::default() }
    }

    /// Makes room for so many keys at once.
    pub(crate) fn reserve_keys(&mut self, keys: usize) {
        self.keys.reserve(keys);
    }

    /// Takes a segment in. Of a record that lies in two segments the later one counts.
    pub(crate) fn add(&mut self, mut segment: Segment) {
        let number = segment.footer.segment;
        for (places, events) in self.places.iter_mut().zip(&segment.footer.partitions) {
            places
                .extend(events.at.iter().map(|at| (at.position, Place { segment: number, block: at.block })));
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
        let place = Place { segment: segment.footer.segment, block: scanned.block };
        let firsts = note(&mut segment.footer, scanned, events);
        segment.end = scanned.block + scanned.frame.blocks();
        segment.key_count += scanned.record.group.keys.len();
        for (partition, position) in firsts {
            self.places[partition].insert(position, place);
        }
        for event in events.iter() {
            if let Some(bytes) = self.event_bytes.get_mut(event.partition as usize) {
                *bytes += event.bytes() as u64;
            }
        }
        let keys = &scanned.record.group.keys;
        self.keys.extend(place.segment, keys.iter().map(|key| (key.hash, place.block)));
        self.recent.put(place, events);
    }

    /// The events of a record that was appended lately.
    pub(crate) fn recent(&self, place: Place) -> Option<Events> {
        self.recent.get(place)
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
        let partitions = self.places.iter_mut().zip(&mut self.event_bytes).zip(&segment.footer.partitions);
        for ((places, bytes), events) in partitions {
            *bytes -= events.bytes;
            for at in &events.at {
                if places.get(&at.position).is_some_and(|place| place.segment == number) {
                    places.remove(&at.position);
                }
            }
        }
        self.bytes -= segment.bytes;
        match keys {
            Some(keys) => self.keys.forget(number, keys),
            None => self.keys.forget_all_of(number),
        }
    }

    /// The record in which `position` would be, if it is kept.
    pub(crate) fn events_at(&self, partition: usize, position: u64) -> Option<Place> {
        self.places.get(partition)?.range(..=position).next_back().map(|(_, place)| *place)
    }

    /// First position of a partition that is kept.
    pub(crate) fn kept_from(&self, partition: usize) -> Option<u64> {
        self.places.get(partition)?.first_key_value().map(|(position, _)| *position)
    }

    /// Numbers of the records that count in a segment: of one that lies in two segments the later copy does.
    pub(crate) fn numbers(&self, segment: u64) -> Range<u64> {
        let start = |segment: &Segment| segment.footer.numbers.start;
        let newer = self.segments.range(segment + 1..).next();
        self.segments.get(&segment).map_or(0, start)..newer.map_or(u64::MAX, |(_, newer)| start(newer))
    }

    pub(crate) fn key(&self, hash: &[u8; 16]) -> Option<Place> {
        self.keys.get(hash)
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn file(&self, number: u64) -> Option<Arc<File>> {
        self.segments.get(&number).map(|segment| Arc::clone(&segment.file))
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of a partition's events in all segments.
    pub(crate) fn event_bytes(&self, partition: usize) -> u64 {
        self.event_bytes.get(partition).copied().unwrap_or_default()
    }

    /// Where each partition stands behind the last record.
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

/// Adds a record to what a segment's footer is going to say. Returns the positions at which events that follow one another
/// begin in it: one for each partition that a group has events of, more where what is carried has gaps.
pub(crate) fn note(footer: &mut Footer, scanned: &Scanned, events: &[Event]) -> Vec<(usize, u64)> {
    let Scanned { block, frame, record } = scanned;
    footer.numbers.end = frame.number + 1;
    footer.last_sum = frame.sum();
    footer.last_committed_ms = frame.committed_ms;
    footer.index_synced = frame.index_synced;
    footer.oldest_segment = frame.oldest_segment;
    footer.keys.extend(record.group.keys.iter().map(|key| (key.hash, *block)));
    let mut firsts: Vec<(usize, u64)> = Vec::new();
    let mut following: BTreeMap<usize, u64> = BTreeMap::new();
    for event in events {
        let partition = event.partition as usize;
        let Some(of_partition) = footer.partitions.get_mut(partition) else { continue };
        of_partition.bytes += event.bytes() as u64;
        // What is carried was counted where it was written first.
        if let Some(state) = footer.states.get_mut(partition).filter(|state| event.position >= state.next) {
            state.next = event.position + 1;
            state.last_id = Some(event.id);
        }
        if following.insert(partition, event.position + 1) != Some(event.position) {
            firsts.push((partition, event.position));
            of_partition.at.push(EventsAt { position: event.position, block: *block });
        }
    }
    firsts
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
