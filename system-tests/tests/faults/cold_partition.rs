//! A partition that gets one event and then none, while the others go on for many segments of the journal.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use daybook_event::{claim, envelope};
use daybook_kafka::{Outgoing, Polled, Reader, Start, Writer, topics};
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::wait;

use crate::kafka_away::journal_bytes;
use crate::world::{Kafka, TOPIC, World, stopped};

/// A week is shorter here, in bytes and in events, and not in seconds: how long this takes must not matter.
const FLAGS: [&str; 8] = [
    "--kept-bytes-max",
    "8388608",
    "--kept-events-max",
    "300",
    "--idempotency-age-s-max",
    "1",
    "--idempotency-age-s-min",
    "0",
];
/// What is kept, and besides a segment that goes next, one that is written and a spare one, of 4 MiB each.
const JOURNAL_BYTES_MAX: u64 = 8 * 1024 * 1024 + 4 * 4 * 1024 * 1024;
/// Segments that have to go.
const SEGMENTS: u64 = 6;
/// More users than it takes until each partition has one.
const USERS_MAX: usize = 200;
/// Far more changes than so many segments hold.
const CHANGES_MAX: usize = 20_000;
/// Of so many changes the bounds are looked at after one.
const LOOK_EVERY: usize = 50;
/// Events of each busy partition that a log has lost.
const LOST: u64 = 200;

#[test]
fn a_partition_that_got_one_event_holds_no_segment_and_its_event_is_kept() {
    let mut world = World::in_memory();
    let mut process = world.start(Kafka::There, &FLAGS);
    let address = process.address();
    let (cold, busy) = one_each(&mut world, address);
    let journal = world.store().join("journal");
    let begins = first_segment(&journal);
    let changes = (0..CHANGES_MAX).find(|number| {
        let answer = world.change(address, &busy[number % busy.len()], *number).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        number % LOOK_EVERY == 0 && {
            let bytes = journal_bytes(&world.store());
            assert!(bytes <= JOURNAL_BYTES_MAX, "{bytes} bytes after {number} changes");
            first_segment(&journal) >= begins + SEGMENTS
        }
    });
    eprintln!("{changes:?} changes, partition {cold} has one event");
    changes.expect("segments go");
    assert_eq!(kept_from(&journal, cold), 0, "its event is not kept");
    assert_eq!(stopped(process).0.code(), Some(0));

    // A topic that is made anew, with what a copy had of it: nothing of the quiet partition, and not the end of the others.
    let had = world.logged();
    world.broker = made_anew(&world, cold);
    let has = world.logged();
    assert!(has.len() < had.len() && has.keys().all(|(partition, _)| *partition != cold));
    let process = world.start(Kafka::There, &FLAGS);
    let (status, said) = serves_and_stops(process);
    assert_eq!(status, Some(0), "{said}");
    assert!(world.logged() == had, "the topic has not got everything again: {said}");

    // After a week it goes as well.
    let process = world.start(Kafka::There, &[&FLAGS[..], &["--kept-age-s-max", "1"]].concat());
    wait::until("nothing of the quiet partition is kept", || (kept_from(&journal, cold) == 1).then_some(()));
    assert_eq!(serves_and_stops(process).0, Some(0));
    assert!(world.logged() == had);
}

/// Users until each partition has one: the partition that was the last to get one, and the users of the others.
fn one_each(world: &mut World, address: SocketAddr) -> (usize, Vec<String>) {
    let mut by_partition: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for _ in 0..USERS_MAX {
        let user = world.sign_up(address).expect("an answer").user_id().to_owned();
        let (_, (partition, _)) = world.users().next_back().expect("a user");
        by_partition.entry(partition).or_default().push(user);
        if by_partition.len() == PARTITIONS as usize {
            assert_eq!(by_partition.remove(&partition).map(|users| users.len()), Some(1));
            return (partition, by_partition.into_values().flatten().collect());
        }
    }
    panic!("a partition got no user");
}

/// Number of the oldest segment.
fn first_segment(journal: &Path) -> u64 {
    let entries = std::fs::read_dir(journal).expect("a journal");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let number = |name: String| name.strip_suffix(".journal")?.parse().ok();
    names.filter_map(number).min().expect("a segment")
}

/// The first position of a partition that the journal has, or would have next. Read while it may be written to.
fn kept_from(journal: &Path, partition: usize) -> u64 {
    wait::until("a journal that can be read", || {
        let reader = daybook_journal::find_readable(journal).ok()?.into_reader();
        Some(reader.kept_from(partition).unwrap_or_else(|| reader.partitions()[partition].next))
    })
}

fn serves_and_stops(mut process: system_tests::process::Process) -> (Option<i32>, String) {
    process.address();
    let (status, said) = stopped(process);
    (status.code(), said)
}

/// A log with what that of `world` has, but for one partition and for the last events of the others.
fn made_anew(world: &World, without: usize) -> TestBroker {
    let (kafka, broker) = (world.broker.kafka(), TestBroker::embedded());
    let writer = Writer::open(broker.kafka(), |delivery| assert!(delivery.result.is_ok())).expect("a writer");
    for partition in (0..PARTITIONS).filter(|partition| *partition as usize != without) {
        let ends = world.logged().into_keys().filter(|(of, _)| *of == partition as usize);
        let end = ends.map(|(_, position)| position + 1).max().expect("events") - LOST;
        let marks = topics::all_watermarks(kafka, &[(TOPIC, partition)]).expect("the end");
        let reader = Reader::open(kafka, &[Start { topic: TOPIC.to_owned(), partition, offset: 0 }])
            .expect("a reader");
        let mut missing = marks[0].high;
        while missing > 0 {
            let Polled::Record(record) = reader.poll(wait::DEADLINE).expect("a readable log") else {
                continue;
            };
            missing -= 1;
            let (key, value) = (record.key().unwrap_or_default(), record.value().unwrap_or_default());
            let is_early = || envelope::open(Some(value), Vec::new).expect("an event").position < end;
            if claim::open(Some(value)).is_some() || is_early() {
                let record = Outgoing { topic: TOPIC, partition, key, value, headers: &[], tag: 0 };
                writer.send(record).expect("room for a record");
            }
        }
    }
    writer.flush(wait::DEADLINE).expect("a log that takes records");
    broker
}
