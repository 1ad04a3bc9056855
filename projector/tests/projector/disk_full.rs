//! The disk takes no more writes while a replay is at work, and then takes them again.
//!
//! A limit on the size of files stands for the full disk: it can be set for one process, which is why this is told of the
//! program.

use std::path::Path;
use std::process::Command;

use daybook_projection::ReadModel;
use daybook_service::EXIT_FAILED;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::created;
use crate::log::{Log, digest_of, open};
use crate::program::{assert_refused, json_of, projector, replay};

const MIB: usize = 1 << 20;
/// Files may grow to this: more than an empty store is large.
const FILE_BYTES_MAX: usize = 6 * MIB;
/// Products whose rows take twice as much.
const PRODUCTS: u128 = 8_000;
const TITLE_BYTES: usize = 1_000;
/// Unit of `ulimit -f`, as POSIX has it.
const ULIMIT_BYTES: usize = 512;

#[test]
fn a_disk_that_is_full_of_runs_is_told_and_the_replay_goes_on_later() {
    // Enough to keep all changes of a thread in one run.
    full(256 * MIB, ".run");
}

#[test]
fn a_disk_that_is_full_of_rows_is_told_and_the_replay_goes_on_later() {
    // So little that every run is small.
    full(MIB, "/rows");
}

/// A replay that takes `memory` bytes fails at a path with `place` in it.
fn full(memory: usize, place: &str) {
    let (broker, directory) = (Broker::start(), tempfile::tempdir().unwrap());
    let log = long_titles();
    broker.write(&log.records);
    let before = replay(&broker, directory.path());
    assert_eq!(before["digest"], digest_of(&log.records).to_string());

    let memory = memory.to_string();
    let flags = ["--replay", "--json", "--memory", &memory];
    let output = limited(&projector(&broker, directory.path(), &flags)).output().unwrap();
    let kept = "What has been built so far is kept: start the replay again to resume it";
    assert_refused(&output, EXIT_FAILED.into(), &["gen-000002", place, "File too large", kept]);
    assert_published(directory.path(), "gen-000001", &before["digest"]);

    let report = json_of(&projector(&broker, directory.path(), &flags).output().unwrap());
    assert_eq!((&report["resumed"], &report["published"]), (&json!(true), &json!(true)), "{report}");
    assert!(report["compared"].as_str().unwrap().contains("the same as gen-000001"), "{report}");
    assert_published(directory.path(), "gen-000002", &before["digest"]);
}

fn long_titles() -> Log {
    let mut log = Log::default();
    for number in 0..PRODUCTS {
        // Spread over the key space, as ids are.
        let product = Uuid::from_u128(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        log.write(&created(product, &format!("{number:0TITLE_BYTES$}"), None));
    }
    log
}

/// The generation that is published, and what its rows on the disk say.
fn assert_published(data_dir: &Path, name: &str, digest: &Value) {
    let read_model = ReadModel::open(data_dir).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some(name));
    let generation = open(&read_model.path_of(name));
    assert_eq!(generation.recount_digest().unwrap().to_string(), *digest);
}

/// The same command under a shell that limits the size of files, without the signal that would end the process.
fn limited(command: &Command) -> Command {
    let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$@\"", FILE_BYTES_MAX / ULIMIT_BYTES);
    let mut limited = Command::new("sh");
    limited.env_clear().args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    limited
}
