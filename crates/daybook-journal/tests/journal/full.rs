//! A disk without room, on a file system of its own. Needs root: it is mounted here.

use std::fs;
use std::path::Path;
use std::process::Command;

use daybook_journal::{AppendError, Settings, find};
use tempfile::TempDir;

use crate::support::{NOW_MS, append, assert_has, begin_as, directory, group, identity, segments, settings};

/// A file system in memory that is unmounted at the end.
struct Small(TempDir);

impl Small {
    fn mounted(bytes: u64) -> Self {
        let directory = directory();
        let mount = ["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(directory.path()).status().unwrap();
        assert!(mounted.success(), "mounting a file system needs root");
        Self(directory)
    }

    fn journal(&self) -> std::path::PathBuf {
        self.0.path().join("journal")
    }

    /// Takes all the room that is left.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filler");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

/// Appends until there is no room; how many groups there are then.
fn append_until_full(journal: &mut daybook_journal::Journal, mut count: u64) -> u64 {
    loop {
        match journal.append(group(count, 3000), NOW_MS) {
            Ok(_) => count += 1,
            Err(AppendError::NoRoom { .. }) => return count,
            Err(error) => panic!("{error}"),
        }
        assert!(count < 10_000, "the disk does not fill up");
    }
}

/// With segments of 256 KiB.
fn begin_large(path: &Path) -> daybook_journal::Journal {
    let settings = Settings { segment_bytes: 256 * 1024, ..settings() };
    begin_as(find(path).unwrap(), &identity(), &settings).unwrap()
}

fn start_again(path: &Path, count: u64) -> daybook_journal::Journal {
    let journal = begin_large(path);
    assert_has(&journal, count);
    journal
}

#[test]
#[ignore = "needs root: mounts a file system"]
fn a_full_disk_takes_no_commands_loses_nothing_and_goes_on_by_itself() {
    let small = Small::mounted(2 * 1024 * 1024);
    let mut journal = begin_large(&small.journal());
    append(&mut journal, 0, 5, 3000);
    let filler = small.fill();
    let count = append_until_full(&mut journal, 5);
    // What is not a command's still has its margin.
    journal.note(NOW_MS).unwrap();
    assert!(journal.no_room().is_some());
    assert_has(&journal, count);
    drop(journal);
    // Starts on a full disk: each takes a few blocks of what commands may not use.
    for _ in 0..2 {
        let mut journal = start_again(&small.journal(), count);
        journal.note(NOW_MS).unwrap();
    }
    let mut journal = start_again(&small.journal(), count);
    let count = append_until_full(&mut journal, count);
    fs::remove_file(filler).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while journal.append(group(count, 3000), NOW_MS).is_err() {
        assert!(std::time::Instant::now() < deadline, "it does not go on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    append(&mut journal, count + 1, count + 50, 3000);
    assert_has(&journal, count + 50);
    assert!(segments(&small.journal()).len() > 3);
}
