//! Random edits of a seed corpus: the plain tests of what the fuzz targets beside this file check, without a fuzzer.
//!
//! Included by its path from the tests of the crates that own the checks. `DAYBOOK_FUZZ_S` makes each such test go on
//! for so many seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestError, TestRunner};

/// Inputs tried whatever the time: a second or two without optimisation.
const CASES: u32 = 2_000;
/// Edits of one seed.
const EDITS_MAX: usize = 6;
/// Bytes of an input without a seed.
const BYTES_MAX: usize = 200;
/// Names how many seconds each test is to go on.
const SECONDS: &str = "DAYBOOK_FUZZ_S";

/// Everything below a directory that is named from the root of the repository.
pub(crate) fn seeds(directory: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|path| path.join("fuzz").is_dir());
    let mut directories = vec![root.unwrap().join(directory)];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let (below, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        directories.extend(below);
        seeds.extend(files.iter().map(|file| fs::read(file).unwrap()));
    }
    assert!(!seeds.is_empty(), "{directory} has no seeds");
    seeds
}

/// Calls `check` with the seeds, with edited ones and with others, until it panics or enough were tried.
#[track_caller]
pub(crate) fn try_many(seeds: Vec<Vec<u8>>, check: impl Fn(&[u8])) {
    seeds.iter().for_each(|seed| check(seed));
    let until = Instant::now() + time();
    let inputs = prop_oneof![9 => edited(seeds), 1 => prop::collection::vec(any::<u8>(), 0..BYTES_MAX)];
    loop {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let tried = TestRunner::new(config).run(&inputs, |input| {
            check(&input);
            Ok(())
        });
        match tried {
            Err(TestError::Fail(why, input)) => panic!("{why} with b\"{}\"", input.escape_ascii()),
            Err(TestError::Abort(why)) => panic!("{why}"),
            Ok(()) if Instant::now() >= until => return,
            Ok(()) => {}
        }
    }
}

fn time() -> Duration {
    let seconds = std::env::var(SECONDS).map_or(0, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// One edit of a text of bytes.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![any::<u8>(), select(b"\"{}[]:,\\0129-+.eunTZ/@ \n\xff".to_vec())];
    let index = any::<Index>;
    prop_oneof![
        (index(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (index(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        index().prop_map(Edit::Remove),
        index().prop_map(Edit::Cut),
        (index(), index()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

pub(crate) fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    match edit {
        Edit::Set(at, byte) => bytes[at.index(len)] = *byte,
        Edit::Insert(at, byte) => bytes.insert(at.index(len + 1), *byte),
        Edit::Remove(at) => _ = bytes.remove(at.index(len)),
        Edit::Cut(at) => bytes.truncate(at.index(len)),
        Edit::Repeat(from, to) => {
            let piece = bytes[from.index(len)..].to_vec();
            let to = to.index(len + 1);
            bytes.splice(to..to, piece);
        }
    }
}

fn edited(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(seeds), prop::collection::vec(edit(), 0..EDITS_MAX)).prop_map(|(mut bytes, edits)| {
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        bytes
    })
}
