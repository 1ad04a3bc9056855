//! The store by itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::database::SEGMENT_BYTES;
use crate::testing::{add_behind, behind, copy_dir, flip, read_behind, snapshot};
use crate::{BATCH_BYTES_MAX, Batch, Cause, Database, Purpose, Store, StoreError, VALUE_BYTES_MAX};

/// How long another has the lock.
const HELD: Duration = Duration::from_millis(200);
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// In the child.
const DATABASE: &str = "DAYBOOK_TEST_DATABASE";

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
    let key = |kind: u8, number: u64| [&[kind][..], &number.to_be_bytes()].concat();
    let number = |key: &[u8]| u64::from_be_bytes(key[1..].try_into().unwrap());
    store.apply((0..20).map(|n| put(&key(1, n * 100), b"x")).collect()).unwrap();
    store.apply(vec![put(&key(0, 9_999), b"x"), put(&key(2, 0), b"x")]).unwrap();
    let positions = |from, to, max| {
        let found = store.scan(&(key(1, from), key(1, to)), max).unwrap();
        found.iter().map(|(key, _)| number(key)).collect::<Vec<_>>()
    };
    assert_eq!(positions(0, u64::MAX, 3), [0, 100, 200]);
    assert_eq!(positions(150, 401, 9), [200, 300, 400]);
    let last = |kind, to| store.last(&(key(kind, 0), key(kind, to))).unwrap().map(|(key, _)| number(&key));
    assert_eq!((last(1, 1_850), last(3, u64::MAX)), (Some(1_800), None));
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

#[test]
fn what_an_opening_that_was_cut_short_has_left_does_not_matter() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.apply(vec![put(b"a", b"1")]).unwrap();
    store.sync().unwrap();
    store.reopen().unwrap();
    store.close().unwrap();
    let whole = fs::read(snapshot(dir.path())).unwrap();
    for bytes in [0, whole.len() / 2, whole.len()] {
        let left = dir.path().join("snap.00000000FFFFFFFF.generating");
        fs::write(&left, &whole[..bytes]).unwrap();
        let store = open(&dir);
        assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"1"[..]), "{bytes} bytes");
        store.apply(vec![put(b"a", b"1")]).unwrap();
        fs::write(&left, &whole[..bytes]).unwrap();
        store.reopen().unwrap();
        store.close().unwrap();
        assert!(!left.exists(), "{bytes} bytes");
    }
}

/// Changes the same rows until sled writes over its own old segments.
fn mature(store: &Store) {
    for round in 0..60_u32 {
        for part in 0..16_u32 {
            let row = |number: u32| {
                let key = (part * 256 + number).wrapping_mul(0x9E37_79B9).to_be_bytes();
                put(&key, &[&round.to_be_bytes()[..], &[7; 200]].concat())
            };
            store.apply((0..256).map(row).collect()).unwrap();
        }
        store.sync().unwrap();
    }
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn a_mature_store_on_a_disk_that_was_full_is_opened_again_once_there_is_room() {
    let dir = TempDir::new().unwrap();
    let at = dir.path().to_str().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program} {arguments:?}");
    };
    run("mount", &["-t", "tmpfs", "-o", "size=96m", "tmpfs", at]);
    let store = Store::open(&dir.path().join("store"), 1 << 20).unwrap();
    mature(&store);
    let (mut count, mut filler) = (0_u64, File::create(dir.path().join("filler")).unwrap());
    while filler.write_all(&[0; 4_096]).is_ok() {}
    // Until the disk would have to give a segment that it has not.
    while store.apply(vec![put(&count.to_be_bytes(), &[9; 4_000])]).and_then(|()| store.sync()).is_ok() {
        count += 1;
    }
    let full: Vec<_> = (0..3).map(|_| store.reopen().map_err(|error| error.to_string())).collect();
    drop(filler);
    fs::remove_file(dir.path().join("filler")).unwrap();
    let is_there = |number: u64| store.get(&number.to_be_bytes()).unwrap().is_some();
    let kept = store.reopen().map(|()| (0..count).all(is_there)).map_err(|error| error.to_string());
    drop(store);
    run("umount", &["-l", at]);
    assert!(full.iter().all(Result::is_err), "the disk was not full: {full:?}");
    assert_eq!(kept, Ok(true), "before: {full:?}");
}

#[test]
fn a_sync_is_due_before_sled_has_written_a_segment_and_soon_after_a_single_write() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    mature(&store);
    assert!(!store.is_sync_due());
    store.apply(vec![put(b"a", b"1")]).unwrap();
    let began = Instant::now();
    while !store.is_sync_due() {
        assert!(began.elapsed() < DEADLINE, "waited in vain for the time");
        thread::sleep(POLL);
    }
    store.sync().unwrap();
    assert_eq!((store.is_sync_due(), store.is_full_of_unsynced(), store.unsynced_bytes()), (false, false, 0));
    let mut number = 0_u32;
    let mut most = 0;
    for _ in 0..40 {
        while !store.is_full_of_unsynced() {
            assert!(number < 1_000_000);
            // As much as one batch that is followed.
            let row = |n: u32| put(&(number + n).wrapping_mul(0x9E37_79B9).to_be_bytes(), &[7; 32]);
            store.apply((0..500).map(row).collect()).unwrap();
            number += 500;
        }
        assert!(store.is_sync_due());
        most = most.max(store.unsynced_bytes());
        store.sync().unwrap();
    }
    println!("{most} bytes at most, {} rows each", number / 40);
    // Half a segment, and one of sled's buffers, which its own threads write when they come to it.
    assert!(most <= 3 << 19, "{most}");
}

#[test]
fn after_a_failed_write_nothing_more_is_written_before_it_is_opened_afresh() {
    let cold = b"cold".map(|byte| [byte; 30]).concat();
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.apply(vec![put(b"a", &cold)]).unwrap();
    // The digest, and what is read below, lie on other pages.
    let others = |kind: u8| (0..40).map(move |number| put(&[kind, number], b"1"));
    store.apply(others(b'M').chain(others(b'b')).collect()).unwrap();
    store.close().unwrap();
    add_behind(dir.path());
    let store = open(&dir);
    read_behind(&store);
    flip(dir.path(), &cold);
    let refused = store.apply(vec![put(b"a", b"2")]).unwrap_err();
    assert!(refused.is_damage(), "its page cannot be read: {refused}");
    let far = |number| put(&behind(number), &[6; 500]);
    assert!(matches!(store.apply(vec![far(1)]), Err(StoreError::Failed)));
    assert!(matches!(store.sync(), Err(StoreError::Failed)));
    // Whoever needs the page meets it again, and the digest stays that of all rows.
    store.reopen().unwrap();
    assert!(store.get(b"a").unwrap_err().is_damage());
    store.apply(vec![far(1), put(&[b'M', 5], b"2")]).unwrap();
    store.close().unwrap();
    assert!(Store::open(dir.path(), 1 << 20).unwrap_err().is_damage(), "a start reads all pages");
    flip(dir.path(), &cold);
    let store = open(&dir);
    assert_eq!(store.get(&[b'M', 5]).unwrap().as_deref(), Some(&b"2"[..]));
}

/// Rows of several segments of sled's log, each written twice.
const ROWS: u32 = 20_000;

fn row(number: u32, value: u8) -> (Vec<u8>, Option<Vec<u8>>) {
    put(&number.wrapping_mul(0x9E37_79B9).to_be_bytes(), &[value; 100])
}

/// What lies in the middle of sled's log and is damaged, sled leaves out at the next opening: what it had there is older then.
#[test]
fn an_opening_that_drops_the_middle_of_the_log_is_damage() {
    let (dir, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let write = |store: &Store, value| {
        for rows in (0..ROWS).collect::<Vec<_>>().chunks(200) {
            store.apply(rows.iter().map(|number| row(*number, value)).collect()).unwrap();
        }
    };
    let store = open(&dir);
    write(&store, 1);
    store.reopen().unwrap();
    write(&store, 2);
    store.close().unwrap();
    // Nothing in between: what was written later is there only if all before it is.
    let is_of_one_time = |store: &Store| {
        let value = |number| store.get(&row(number, 2).0).map(|value| value.map_or(0, |value| value[0]));
        let values = (0..ROWS).map(value).collect::<Result<Vec<_>, _>>();
        values.map(|values| values.is_sorted_by(|earlier, later| earlier >= later))
    };
    let segments = fs::metadata(dir.path().join("db")).unwrap().len() >> 20;
    let (mut dropped, mut refused) = (0, 0);
    for segment in 0..segments {
        let at = copy.path().join(segment.to_string());
        let flipped = || {
            let _ = fs::remove_dir_all(&at);
            copy_dir(dir.path(), &at);
            let file = File::options().read(true).write(true).open(at.join("db")).unwrap();
            let (mut byte, place) = ([0], (segment << 20) + (1 << 19));
            file.read_exact_at(&mut byte, place).unwrap();
            file.write_all_at(&[byte[0] ^ 1], place).unwrap();
        };
        flipped();
        let as_it_is = Store::open_as_it_is(&at, 1 << 20).and_then(|store| is_of_one_time(&store));
        dropped += u32::from(matches!(as_it_is, Ok(false)));
        flipped();
        match Store::open(&at, 1 << 20) {
            Ok(store) => assert!(is_of_one_time(&store).unwrap(), "segment {segment}"),
            Err(error) => {
                assert!(error.is_damage(), "{error}");
                refused += u32::from(error.to_string().contains("older than others, or gone"));
            }
        }
    }
    println!("{dropped} of {segments} segments were dropped without a word, {refused} found by the digest");
    assert!(dropped > 0 && refused >= dropped, "{dropped} dropped, {refused} refused");
}

#[test]
fn rows_add_up_whatever_was_written_in_whatever_order() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.fill([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]).unwrap();
    // Two writes with one key: the last counts.
    store.apply(vec![put(b"c", b"1"), put(b"b", b"4"), put(b"c", b"2"), (b"a".to_vec(), None)]).unwrap();
    store.apply(vec![(b"a".to_vec(), None), put(b"b", b"4"), put(b"d", b"")]).unwrap();
    store.reopen().unwrap();
    assert_eq!(store.get(b"c").unwrap().as_deref(), Some(&b"2"[..]));
    store.apply(vec![put(b"e", b"1")]).unwrap();
    store.reopen().unwrap();
}

/// A version before this one kept none.
#[test]
fn a_store_without_a_digest_gets_one_with_its_first_write() {
    let dir = TempDir::new().unwrap();
    let without_digest = |row| {
        let store = Store::open_as_it_is(dir.path(), 1 << 20).unwrap();
        store.apply(vec![row]).unwrap();
        store.close().unwrap();
    };
    without_digest(put(b"a", b"1"));
    let store = open(&dir);
    assert!(store.get(b"D").unwrap().is_none());
    store.apply(vec![put(b"b", b"2")]).unwrap();
    store.close().unwrap();
    open(&dir).close().unwrap();
    without_digest(put(b"a", b"0"));
    let refused = Store::open(dir.path(), 1 << 20).unwrap_err();
    assert!(refused.is_damage() && refused.to_string().contains("do not add up"), "{refused}");
}

/// In a process of its own, whose threads would need more memory than there is: sled keeps the ones of its first opening.
#[test]
fn an_opening_for_which_the_system_gives_no_thread_fails_and_may_pass() {
    let dir = TempDir::new().unwrap();
    let this = "tests::child_that_opens_without_a_thread";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([this, "--exact", "--ignored", "--test-threads=1"])
        .env(DATABASE, dir.path().join("rows"))
        .env("RUST_MIN_STACK", (1_usize << 60).to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if began.elapsed() > DEADLINE {
            child.kill().unwrap();
        }
        thread::sleep(POLL);
    };
    assert!(ended.success(), "{ended}");
}

#[test]
#[ignore = "done by the test before it, in a process of its own"]
fn child_that_opens_without_a_thread() {
    let Some(dir) = std::env::var_os(DATABASE) else { return };
    let error = Database::open(Path::new(&dir), Purpose::Filled, 1 << 20).err().unwrap();
    assert_eq!(error.cause, Cause::Other);
    assert!(error.to_string().contains("gives no thread for the store"), "{error}");
}

#[test]
fn what_lies_in_the_place_of_a_file_is_named_and_no_fault_of_the_disk() {
    for (name, said) in [("db", "a directory where the file"), ("snap.0", "a directory where the file")] {
        let dir = TempDir::new().unwrap();
        open(&dir).close().unwrap();
        fs::remove_file(dir.path().join(name)).ok();
        fs::create_dir(dir.path().join(name)).unwrap();
        let error = Store::open(dir.path(), 1 << 20).err().unwrap();
        assert!(error.is_damage() && error.to_string().contains(said), "{error}");
    }
}

/// Batches of random rows, as large as they may be. Returns the most bytes that were unsynced behind one of them.
fn follow(purpose: Purpose) -> u64 {
    let dir = TempDir::new().unwrap();
    let database = Database::open(dir.path(), purpose, 1 << 20).unwrap();
    let mut keys = (0_u32..).map(|number| number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    let batches = (0..200).map(|_| {
        let mut batch = Batch::default();
        while batch.bytes() < BATCH_BYTES_MAX {
            batch.put(&keys.next().unwrap(), &[7; 100]);
        }
        database.apply_and_sync_if_due(batch).unwrap();
        database.unsynced_bytes()
    });
    batches.max().unwrap()
}

#[test]
fn what_is_followed_is_synced_long_before_a_segment_and_what_is_filled_is_not() {
    let (followed, filled) = (follow(Purpose::Followed), follow(Purpose::Filled));
    assert!(followed < SEGMENT_BYTES as u64 / 4, "{followed}");
    assert!(filled > 2 * SEGMENT_BYTES as u64, "{filled}");
}
