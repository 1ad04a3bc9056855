//! What disks do to a closed database, for tests.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test that cannot go on fails there")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::database::{Bytes, Database, Purpose};
use crate::error::DatabaseError;
use crate::opening::LOG_FILE;
use crate::store::Store;

const CACHE_BYTES: u64 = 1 << 20;
/// Rows behind all others ...
const BEHIND: u32 = 9_000;

/// The key of one of those rows.
#[must_use]
pub fn behind(number: u32) -> Vec<u8> {
    [&b"z"[..], &number.to_be_bytes()].concat()
}

/// Puts rows behind those of a closed store.
pub fn add_behind(dir: &Path) {
    let store = Store::open(dir, CACHE_BYTES).unwrap();
    store.fill((0..BEHIND).map(|number| (behind(number), vec![5; 500]))).unwrap();
    store.close().unwrap();
}

/// ... and so many that a cache of a mebibyte has forgotten all others once these were read: sled looks which pages it has not
/// used for long once it has used a shard of its cache, of which there are 256, for the 64th time.
pub fn read_behind(store: &Store) {
    (0..8 * BEHIND).for_each(|number| assert!(store.get(&behind(number % BEHIND)).unwrap().is_some()));
}

/// The newest of sled's notes of where its pages are, by its name.
#[must_use]
pub fn snapshot(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_snapshot = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("snap.");
    files.filter(is_snapshot).max().unwrap()
}

/// Opens a closed store until sled's last note says where all its pages are: what lies behind it is read at the next opening,
/// which would take damage there for the end of the log.
pub fn settle(dir: &Path) {
    let open = || Store::open(dir, CACHE_BYTES).unwrap().close().unwrap();
    open();
    let mut noted = None;
    while noted != Some(snapshot(dir)) {
        noted = Some(snapshot(dir));
        open();
    }
}

/// Flips a bit wherever this lies in the file of a store: pages that have it, and are not in memory, cannot be read.
pub fn flip(dir: &Path, bytes: &[u8]) {
    let file = File::options().read(true).write(true).open(dir.join(LOG_FILE)).unwrap();
    let content = fs::read(dir.join(LOG_FILE)).unwrap();
    let is_there = |at: &usize| content[*at] ^ bytes[0] <= 1 && content[at + 1..].starts_with(&bytes[1..]);
    let at: Vec<_> = (0..content.len()).filter(is_there).collect();
    assert!(!at.is_empty(), "it is not in the file");
    for at in at {
        file.write_all_at(&[content[at] ^ 1], at as u64).unwrap();
    }
}

/// Opens the rows of a read model, below all that keeps their digest.
#[must_use]
pub fn open_rows(dir: &Path) -> Database {
    Database::open(dir, Purpose::Followed, CACHE_BYTES).unwrap()
}

/// Flips a bit of the first row that has `needle`.
pub fn flip_row(dir: &Path, needle: &[u8]) {
    let rows = open_rows(dir);
    let (key, value) = flipped(rows.range(..), needle);
    rows.insert(&key, &value).unwrap();
}

/// The same of a value that was filled in by its order.
pub fn flip_sorted(dir: &Path, needle: &[u8]) {
    let rows = open_rows(dir);
    let flipped = flipped(rows.sorted_values_from(Vec::new()), needle);
    rows.put_sorted(&[flipped]).unwrap();
}

/// Removes the first row that has `needle`.
pub fn remove_row(dir: &Path, needle: &[u8]) {
    let rows = open_rows(dir);
    let (key, _) = flipped(rows.range(..), needle);
    rows.apply(vec![(key, None)]).unwrap();
}

fn flipped(
    entries: impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>>,
    needle: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    for entry in entries {
        let (key, value) = entry.unwrap();
        if let Some(at) = value.windows(needle.len()).position(|window| window == needle) {
            let mut value = value.to_vec();
            value[at] ^= 1;
            return (key.to_vec(), value);
        }
    }
    panic!("{needle:?} is not there");
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
