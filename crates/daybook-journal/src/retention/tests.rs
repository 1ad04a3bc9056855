//! Appended, acknowledged, carried and killed in any order: what is needed is found by its position, always.
// Helpers outside of `#[test]` functions fail a test by panicking as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::{Leave, Retention, bytes_from, may_go};
use crate::footer::{PartitionEvents, Run};
use crate::{Beginning, Event, Group, Identity, Journal, Kind, PartitionState, Settings, find};

const PARTITIONS: usize = 2;
/// Beyond it sent events are not needed.
const CROWDED_BYTES: u64 = 150 * 1024;
const NOW_MS: u64 = 1_795_000_000_000;

/// Crowded from the third segment on, and nothing of an age.
fn retention(kept_events_max: u64) -> Retention {
    Retention {
        journal_bytes_max: 2 * CROWDED_BYTES,
        kept_bytes_max: u64::MAX,
        kept_events_max,
        kept_age_ms_max: u64::MAX,
        key_age_ms_min: 0,
        key_age_ms_max: 0,
        clock_ahead_ms: 0,
        keys_max: 1_000,
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A group: the partition of each event, and the bytes of each.
    Append(Vec<usize>, usize),
    /// Kafka has so many of a hundred of what a partition has and may be asked for; or is said to.
    Acknowledge(usize, u64),
    /// The oldest segment goes, if it may. The process is killed after so many of the records that are carried.
    Retire { kept_events_max: u64, killed_after: Option<usize> },
    /// The process is killed, or ends in order.
    Restart { killed: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let append = (proptest::collection::vec(0..PARTITIONS, 1..6), 0_usize..6_000);
    let retire = (0_u64..8, proptest::option::of(0_usize..4));
    prop_oneof![
        6 => append.prop_map(|(partitions, bytes)| Step::Append(partitions, bytes)),
        2 => (0..PARTITIONS, 0_u64..101).prop_map(|(partition, of_100)| Step::Acknowledge(partition, of_100)),
        4 => retire.prop_map(|(kept_events_max, killed_after)| Step::Retire { kept_events_max, killed_after }),
        1 => any::<bool>().prop_map(|killed| Step::Restart { killed }),
    ]
}

fn begin(path: &Path) -> Journal {
    let identity = Identity { topic: "t".to_owned(), cluster: String::new(), layout: 1, partitions: 2 };
    let beginning = Beginning {
        identity: &identity,
        new_id: Uuid::from_u128(7),
        initial: &[PartitionState::default(); PARTITIONS],
        in_log: &[],
        now_ms: NOW_MS,
    };
    let settings = Settings { segment_bytes: 64 * 1024, recent_bytes_max: 4096 };
    find(path).unwrap().begin(&beginning, &settings).unwrap()
}

fn id(partition: usize, position: u64) -> Uuid {
    Uuid::from_u128((partition as u128 + 1) << 64 | u128::from(position))
}

/// A journal, and what must be in it.
struct Tested {
    directory: tempfile::TempDir,
    journal: Option<Journal>,
    next: [u64; PARTITIONS],
    acknowledged: [u64; PARTITIONS],
    /// From here on every event is needed: no segment that went was asked to leave less.
    needed_from: [u64; PARTITIONS],
}

impl Tested {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Some(begin(directory.path()));
        let (next, acknowledged, needed_from) = Default::default();
        Self { directory, journal, next, acknowledged, needed_from }
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(partitions, bytes) => self.append(partitions, *bytes),
            Step::Acknowledge(partition, of_100) => {
                let (from, next) = (self.needed_from[*partition], self.next[*partition]);
                self.acknowledged[*partition] = from + (next - from) * of_100 / 100;
            }
            Step::Retire { kept_events_max, killed_after } => self.retire(*kept_events_max, *killed_after),
            Step::Restart { killed } => self.restart(*killed),
        }
    }

    fn append(&mut self, partitions: &[usize], bytes: usize) {
        let mut next = self.next;
        let events = partitions.iter().map(|partition| {
            let position = next[*partition];
            next[*partition] += 1;
            Event {
                partition: *partition as i32,
                position,
                id: id(*partition, position),
                key: String::new(),
                traceparent: String::new(),
                value: vec![0; bytes],
            }
        });
        let group = Group { events: events.collect(), ..Group::default() };
        self.journal().append(group, NOW_MS).unwrap();
        self.next = next;
    }

    fn retire(&mut self, kept_events_max: u64, killed_after: Option<usize>) {
        let (retention, acknowledged) = (retention(kept_events_max), self.acknowledged);
        let journal = self.journal();
        journal.index_synced(journal.last_number());
        let crowded = journal.reader().bytes() > CROWDED_BYTES;
        let gone = match killed_after {
            None => journal.retire(&retention, &acknowledged, NOW_MS).unwrap(),
            Some(records) => {
                carry_some(journal, &retention, &acknowledged, records);
                self.restart(true);
                false
            }
        };
        for (needed, acknowledged) in self.needed_from.iter_mut().zip(acknowledged).filter(|_| gone) {
            let kept = if crowded { 0 } else { kept_events_max };
            *needed = (*needed).max(acknowledged.saturating_sub(kept));
        }
    }

    fn restart(&mut self, killed: bool) {
        let journal = self.journal.take().unwrap();
        if killed {
            drop(journal);
        } else {
            journal.close(NOW_MS).unwrap();
        }
        self.journal = Some(begin(self.directory.path()));
    }

    fn assert_has_what_is_needed(&mut self) {
        let reader = self.journal().reader();
        for partition in 0..PARTITIONS {
            let needed = self.needed_from[partition]..self.next[partition];
            if !needed.is_empty() {
                let kept_from = reader.kept_from(partition).expect("something is kept");
                assert!(kept_from <= needed.start, "{partition}: kept from {kept_from}, needed {needed:?}");
            }
            for position in needed {
                let events = reader.events(partition, position).unwrap();
                let events = events.unwrap_or_else(|| panic!("{partition}@{position} is not found"));
                let it = |event: &&Event| (event.partition as usize, event.position) == (partition, position);
                assert_eq!(events.iter().find(it).unwrap().id, id(partition, position));
            }
            assert!(reader.events(partition, self.next[partition]).unwrap().is_none());
        }
    }
}

/// Begins to let the oldest segment go, and comes no further than to so many records.
fn carry_some(journal: &mut Journal, retention: &Retention, acknowledged: &[u64], records: usize) {
    let (reader, synced) = (journal.reader(), journal.synced());
    let may_go = may_go(&reader.shared.read(), synced, retention, acknowledged, NOW_MS);
    let most = journal.carried_bytes_max();
    let leave = Leave::of(&reader, retention, acknowledged, NOW_MS, most).unwrap();
    for events in leave.filter(|_| may_go).into_iter().flat_map(|leave| leave.carried).take(records) {
        journal.carry(events, NOW_MS).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn what_is_needed_is_found_whenever_carrying_was_interrupted(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut tested = Tested::new();
        for step in &steps {
            tested.take(step);
            tested.assert_has_what_is_needed();
        }
    }
}

#[test]
fn what_was_carried_before_a_kill_is_not_carried_again() {
    let mut tested = Tested::new();
    // Of the first partition nothing is sent, of the second all.
    for _ in 0..12 {
        tested.append(&[0, 0, 1, 1], 4_000);
    }
    tested.acknowledged = [0, tested.next[1]];
    tested.retire(0, Some(1));
    tested.retire(0, None);
    tested.assert_has_what_is_needed();
    let records = tested.journal().reader().records_from(1).map(Result::unwrap).collect::<Vec<_>>();
    let carried = records.iter().filter(|record| record.kind == Kind::Carried);
    let carried: Vec<_> = carried.map(|record| &record.group.events).collect();
    assert_eq!(carried.len(), 2, "one before the kill and one behind it");
    let positions: Vec<_> = carried.into_iter().flatten().map(|event| event.position).collect();
    assert_eq!(positions, (0..positions.len() as u64).collect::<Vec<_>>());
}

#[test]
fn bytes_from_a_position_on_count_the_runs_behind_it_and_a_part_of_its_own() {
    let mut events = PartitionEvents::default();
    for (first, count, bytes) in [(10, 10, 1_000), (20, 1, 7), (5, 2, 50)] {
        events.push(Run { first, count, bytes, block: 0 });
    }
    let from = [0, 6, 7, 15, 20, 21].map(|from| bytes_from(&events, from));
    assert_eq!(from, [1_057, 1_032, 1_007, 507, 7, 0]);
}

#[test]
fn of_a_damaged_record_what_was_carried_before_a_kill_is_not_lost() {
    let mut tested = Tested::new();
    for _ in 0..12 {
        tested.append(&[0, 0, 1, 1], 4_000);
    }
    tested.acknowledged = [0, tested.next[1]];
    tested.retire(0, Some(1));
    let oldest = tested.directory.path().join("00000000000000000001.journal");
    let mut bytes = std::fs::read(&oldest).unwrap();
    bytes[crate::BLOCK_BYTES + 200] ^= 1;
    std::fs::write(&oldest, bytes).unwrap();
    let reader = tested.journal().reader();
    assert!((0..2).all(|position| reader.events(0, position).is_ok_and(|events| events.is_some())));
    assert!((0..2).all(|position| reader.events(1, position).is_err()));
    assert_eq!(reader.records_from(1).filter(Result::is_err).count(), 1);
}
