//! What lies in a service's store, and what becomes of it there.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use uuid::Uuid;

use super::service::TestService;
use crate::Aggregate;
use crate::parked::WaitingEvent;
use crate::store::{self, Store};

/// More bytes than any value of a store has.
pub const VALUE_BYTES_MAX: usize = store::VALUE_BYTES_MAX;

/// Rows behind all others, ...
const BEHIND: u32 = 9_000;

pub(crate) fn behind(number: u32) -> Vec<u8> {
    [&b"z"[..], &number.to_be_bytes()].concat()
}

/// Puts rows behind those of a closed store.
pub fn add_behind(dir: &Path) {
    let store = Store::open(dir, 1 << 20).unwrap();
    store.fill((0..BEHIND).map(|number| (behind(number), vec![5; 500]))).unwrap();
    store.close().unwrap();
}

/// ... and so many that a cache of a mebibyte has forgotten all others once these were read: sled looks which pages it has not
/// used for long once it has used a shard of its cache, of which there are 256, for the 64th time.
pub(crate) fn read_behind(store: &Store) {
    (0..8 * BEHIND).for_each(|number| assert!(store.get(&behind(number % BEHIND)).unwrap().is_some()));
}

/// Flips a bit wherever this lies in the file of a store: pages that have it, and are not in memory, cannot be read.
pub fn flip(dir: &Path, bytes: &[u8]) {
    let file = File::options().read(true).write(true).open(dir.join("db")).unwrap();
    let content = fs::read(dir.join("db")).unwrap();
    let is_there = |at: &usize| content[*at] ^ bytes[0] <= 1 && content[at + 1..].starts_with(&bytes[1..]);
    let at: Vec<_> = (0..content.len()).filter(is_there).collect();
    assert!(!at.is_empty(), "it is not in the file");
    for at in at {
        file.write_all_at(&[content[at] ^ 1], at as u64).unwrap();
    }
}

/// Bytes that an event takes which waits behind another one of its key.
pub fn waiting_row_bytes(partition: i32, event_type: &str, data: &str) -> usize {
    WaitingEvent { partition, event_id: Uuid::nil(), event_type, data }.encode().len()
}

/// Removes the row of an outbox in a closed store that has this position.
pub fn without_outbox_row(store: &Path, partition: i32, position: u64) {
    let store = Store::open(store, 1 << 20).unwrap();
    let row = |position: u64| [&b"O"[..], &partition.to_be_bytes(), &position.to_be_bytes()].concat();
    let (key, _) = store.last(&(row(0), row(position + 1))).unwrap().unwrap();
    store.apply(vec![(key.to_vec(), None)]).unwrap();
    store.close().unwrap();
}

impl<A: Aggregate> TestService<A> {
    /// Reads what [`add_behind`] has put there.
    pub fn read_behind(&self) {
        read_behind(&self.service().store);
    }
}
