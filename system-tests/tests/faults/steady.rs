//! As many changes as a service sees in hours: its directory, and what a start reads of it, stay as large as what is in it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use system_tests::process::Process;

use crate::kafka_away::journal_bytes;
use crate::world::{Kafka, World, shown, stopped};

/// Hours are shorter here, in events and in seconds: what is kept is of the last few hundred changes.
const FLAGS: [&str; 8] = [
    "--kept-events-max",
    "100",
    "--idempotency-age-s-max",
    "1",
    "--idempotency-age-s-min",
    "0",
    "--cache-bytes-max",
    "16777216",
];
const USERS: usize = 40;
const CLIENTS: usize = 4;
/// Changes between two looks, with a restart behind each.
const CHANGES: usize = 1_200;
const ROUNDS: usize = 8;
/// Each user is changed by one client, in order, and equally often.
const _: () = assert!(USERS.is_multiple_of(CLIENTS) && CHANGES.is_multiple_of(USERS));
/// A change writes more than so many bytes into the journal, and into the index.
const CHANGE_BYTES: u64 = 2_000;
/// Of the journal: a segment that is written, one that is spare, one that is kept and one that goes next, of 4 MiB each.
const JOURNAL_BYTES_MAX: u64 = 4 * 4 * 1024 * 1024;
/// Of the index: many times its rows.
const INDEX_BYTES_MAX: u64 = 8 * 1024 * 1024;
const _: () = assert!((CHANGES * ROUNDS) as u64 * CHANGE_BYTES > JOURNAL_BYTES_MAX + INDEX_BYTES_MAX / 4);
/// What a start reads: both, and besides libraries and the last records of its topic.
const READ_BYTES_MAX: u64 = JOURNAL_BYTES_MAX + INDEX_BYTES_MAX + 4 * 1024 * 1024;

#[test]
fn however_many_changes_there_were_the_directory_and_what_a_start_reads_stay_as_large_as_what_is_in_it() {
    let mut world = World::in_memory();
    let mut process = world.start(Kafka::There, &FLAGS);
    world.fill(process.address(), USERS);
    let users: Vec<String> = world.users().map(|(user, _)| user.user_id().to_owned()).collect();
    let mut said = Vec::new();
    for round in 0..ROUNDS {
        let address = process.address();
        change(&world, address, &users, round);
        let (journal, index) = (journal_bytes(&world.store()), bytes(&world.store().join("index")));
        // Every other one is killed.
        if round % 2 == 0 {
            assert_eq!(stopped(process).0.code(), Some(0));
        } else {
            process.kill();
        }
        process = world.start(Kafka::There, &FLAGS);
        process.address();
        let read = read_by(&process);
        said.push((journal, index, read));
        eprintln!(
            "{} changes: {journal} bytes of journal, {index} of index, a start read {read}",
            (round + 1) * CHANGES
        );
    }
    for (journal, index, read) in said {
        assert!(journal <= JOURNAL_BYTES_MAX, "{journal} bytes of journal");
        assert!(index <= INDEX_BYTES_MAX, "{index} bytes of index");
        assert!(read <= READ_BYTES_MAX, "a start read {read} bytes");
    }
    let address = process.address();
    for (last, user) in (CHANGES * ROUNDS - USERS..).zip(&users) {
        let answer = shown(address, user).expect("an answer");
        assert_eq!(answer.body["name"], last.to_string());
    }
    assert_eq!(stopped(process).0.code(), Some(0));
}

/// Several at once, so that they are written in groups.
fn change(world: &World, address: SocketAddr, users: &[String], round: usize) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for number in (client..CHANGES).step_by(CLIENTS) {
                    let user = &users[number % users.len()];
                    let answer = world.change(address, user, round * CHANGES + number).expect("an answer");
                    assert_eq!(answer.status, 200, "{}", answer.body);
                }
            });
        }
    });
}

/// Bytes of all files in a directory.
fn bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    // One may be removed in this very moment.
    let metadata = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    metadata.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

/// What a process has read so far, from wherever.
fn read_by(process: &Process) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{}/io", process.pid())).expect("counts of the kernel");
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.expect("what was read").parse().expect("a number")
}
