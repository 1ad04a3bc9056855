//! The store by itself.

use std::fs::File;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::kernel::keys;
use crate::kernel::store::{Store, StoreError, VALUE_BYTES_MAX};

/// How long somebody else has the lock.
const HELD: Duration = Duration::from_millis(200);

fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), 1 << 20).unwrap()
}

fn put(key: &[u8], value: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.to_vec(), Some(value.to_vec()))
}

#[test]
fn what_was_synced_is_there_after_reopening() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.apply(vec![put(b"a", b"1"), put(b"b", b"2")]).unwrap();
    store.apply(vec![(b"a".to_vec(), None), put(b"c", b"3")]).unwrap();
    store.sync().unwrap();
    store.reopen().unwrap();
    let value = |key: &[u8]| store.get(key).unwrap().map(|value| value.to_vec());
    assert_eq!((value(b"a"), value(b"b"), value(b"c")), (None, Some(b"2".to_vec()), Some(b"3".to_vec())));
    store.close().unwrap();
    assert!(matches!(store.get(b"b"), Err(StoreError::Closed)));
}

#[test]
fn a_lock_that_is_let_go_of_a_moment_later_is_waited_for() {
    let dir = TempDir::new().unwrap();
    open(&dir).close().unwrap();
    let file = File::open(dir.path().join("db")).unwrap();
    file.lock().unwrap();
    let holder = thread::spawn(move || {
        thread::sleep(HELD);
        drop(file);
    });
    open(&dir).close().unwrap();
    holder.join().unwrap();
}

#[test]
fn scans_are_bounded_and_in_order() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let row = |position: u64| put(&keys::outbox(1, position), b"x");
    store.apply((0..20).map(|n| row(n * 100)).collect()).unwrap();
    store.apply(vec![put(&keys::outbox(0, 9_999), b"x"), put(&keys::outbox(2, 0), b"x")]).unwrap();
    let positions = |from, to, max| {
        let found = store.scan(&keys::outbox_span(1, from, to), max).unwrap();
        found.iter().filter_map(|(key, _)| keys::outbox_position(key)).collect::<Vec<_>>()
    };
    assert_eq!(positions(0, u64::MAX, 3), [0, 100, 200]);
    assert_eq!(positions(150, 401, 9), [200, 300, 400]);
    let (last, _) = store.last(&keys::outbox_span(1, 0, 1_850)).unwrap().unwrap();
    assert_eq!(keys::outbox_position(&last), Some(1_800));
    assert!(store.last(&keys::outbox_span(3, 0, u64::MAX)).unwrap().is_none());
}

#[test]
fn a_value_that_is_too_large_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let refused = store.apply(vec![put(b"a", b"1"), put(b"b", &vec![0; VALUE_BYTES_MAX])]);
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    assert!(store.get(b"a").unwrap().is_none());
}

/// The largest values allowed must not make sled write files of their own, which it would not sync.
#[test]
fn the_largest_values_stay_in_the_synced_file() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let value = vec![7; VALUE_BYTES_MAX - 9];
    for number in 0..200_u64 {
        let key = [&b"k"[..], &(number * 7 % 200).to_be_bytes()].concat();
        store.apply(vec![put(&key, &value)]).unwrap();
        store.sync().unwrap();
        let blobs = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
        assert_eq!(blobs, 0, "after {number} values");
    }
}
