//! The disk of one command service: writes and syncs that fail, and damage to the index.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt as _;
use rand::rngs::StdRng;
use system_tests::injector::{Action, Injector, Operation, Rule};

use crate::Fallible;
use crate::evidence::Part;

/// What a service says last whose journal has failed.
pub(crate) const JOURNAL_FAILED: &str = "what is on the disk is not known";
/// What a service says last whose index is of no more use.
pub(crate) const INDEX_ASIDE: &str = "it was put aside as";
/// What a service says that has made its index anew.
pub(crate) const BUILT_AGAIN: &str = "the store's index was built again";

/// What needs new room: the index, a new segment of the journal, and the trial whether there is room again. Segments have
/// theirs before they are written.
const NEEDS_ROOM: [&str; 3] = ["/index/", "/journal/spare", "/store/trial"];
/// Most bytes that are overwritten.
const DAMAGE_BYTES_MAX: u64 = 4096;
/// Of so many damages one is in any file; the others are in the one that has the rows.
const ANY_FILE: u32 = 4;
const ROWS: &str = "db";

/// What a command service writes to.
pub(crate) struct Disk {
    injector: Injector,
    store: PathBuf,
    /// There is damage in the index that the service may not have met yet.
    pub(crate) is_damaged: bool,
}

impl Disk {
    /// The disk below this directory of a service.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { injector: Injector::new(), store: data_dir.join("store"), is_damaged: false }
    }

    /// A process that is started by `command` writes to it.
    pub(crate) fn under(&self, command: &mut Command) {
        self.injector.inject(command);
    }

    /// There is no room from now on.
    pub(crate) fn fill(&self) {
        let no_room =
            |path| Rule { operation: Operation::Write, path, first: 1, count: 0, action: Action::Enospc };
        self.injector.strike(&NEEDS_ROOM.map(no_room));
    }

    /// One of the next calls fails; afterwards the disk is well.
    pub(crate) fn fail_once(&self, part: Part, random: &mut StdRng) {
        let operation = if random.random_bool(0.5) { Operation::Write } else { Operation::Sync };
        let (path, calls) = match part {
            Part::Journal => ("/journal/0000", 24),
            Part::Index => ("/index/", 6),
        };
        let first = random.random_range(1..=calls);
        self.injector.strike(&[Rule { operation, path, first, count: 1, action: Action::Eio }]);
    }

    /// Every call does what it should.
    pub(crate) fn heal(&self) {
        self.injector.heal();
    }

    /// How many calls have failed so far.
    pub(crate) fn struck(&self) -> usize {
        self.injector.struck().len()
    }

    /// Removes the index, while nobody has it open. A process may just have put it aside.
    pub(crate) fn remove_index(&mut self) -> Fallible<()> {
        let index = self.index();
        if index.exists() {
            fs::remove_dir_all(&index).map_err(|error| format!("{}: {error}", index.display()))?;
        }
        self.is_damaged = false;
        Ok(())
    }

    /// Overwrites a part of a file of the index, or cuts the file, while nobody has it open. A sentence about it.
    pub(crate) fn damage_index(&mut self, random: &mut StdRng) -> Fallible<String> {
        if !self.index().exists() {
            return Ok("a process has just put the index aside".to_owned());
        }
        let path = self.file_of_index(random)?;
        let file = File::options().write(true).open(&path)?;
        let length = file.metadata()?.len();
        let at = random.random_range(0..length.max(1));
        self.is_damaged = true;
        if random.random_bool(0.3) {
            file.set_len(at)?;
            return Ok(format!("{} cut at byte {at} of {length}", path.display()));
        }
        let count = random.random_range(1..=DAMAGE_BYTES_MAX.min(length - at).max(1));
        // Zeros are what disks like to give instead.
        let zeros = random.random_bool(0.5);
        let bytes: Vec<u8> = (0..count).map(|_| if zeros { 0 } else { random.random() }).collect();
        file.write_all_at(&bytes, at)?;
        Ok(format!("{count} bytes of {} overwritten from byte {at} of {length} on", path.display()))
    }

    fn index(&self) -> PathBuf {
        self.store.join("index")
    }

    fn file_of_index(&self, random: &mut StdRng) -> Fallible<PathBuf> {
        let index = self.index();
        if random.random_range(0..ANY_FILE) > 0 {
            return Ok(index.join(ROWS));
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&index).map_err(|error| format!("{}: {error}", index.display()))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() && metadata.len() > 0 {
                files.push(entry.path());
            }
        }
        files.sort();
        let chosen = random.random_range(0..files.len().max(1));
        files.into_iter().nth(chosen).ok_or_else(|| format!("{} is empty", index.display()).into())
    }
}
