//! Processes that load a journal, one after the other, each killed at an entry of its own choosing; and between them power
//! cuts, behind which they go on with what one of them left.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt as _;
use rand::rngs::StdRng;
use system_tests::power_cut::disk::Disk;
use system_tests::power_cut::log::{self, Entry};
use system_tests::power_cut::loss::{KINDS, Kept};
use system_tests::power_cut::notes::{self, Note};
use system_tests::power_cut::recorder::Recorder;
use system_tests::power_cut::tree::{self, Inodes, Tree};
use tempfile::TempDir;

/// Processes between two power cuts.
const LIVES: u64 = 8;
/// Groups that a process appends if it is not killed before.
const GROUPS: u64 = 150;
/// A process is killed behind one of so many entries: some three to an append, and some thirty to a start.
const ENTRIES: u64 = 500;
/// Below the recorded directory, and not there at the beginning.
pub(crate) const JOURNAL: &str = "store/journal";

/// A directory in memory where there is one: which syncs there were counts, and not what they take.
pub(crate) fn directory() -> TempDir {
    const PREFIX: &str = "daybook-power-cut-";
    let in_memory = TempDir::with_prefix_in(PREFIX, "/dev/shm");
    in_memory.unwrap_or_else(|_| TempDir::with_prefix(PREFIX).unwrap())
}

/// What was recorded between two power cuts.
pub(crate) struct Era {
    /// What was there before.
    pub(crate) base: (Tree, Inodes),
    pub(crate) entries: Vec<Entry>,
}

/// What was recorded, and what the processes were told.
pub(crate) struct Recording {
    pub(crate) eras: Vec<Era>,
    pub(crate) notes: Vec<Note>,
    /// Processes that were killed.
    pub(crate) kills: usize,
}

/// Where all of it is written.
struct Workshop {
    directory: TempDir,
    recorder: Recorder,
    kills: usize,
}

impl Recording {
    pub(crate) fn make(eras: u64, random: &mut StdRng) -> Self {
        let directory = directory();
        let recorder = Recorder::compile(directory.path());
        let mut workshop = Workshop { directory, recorder, kills: 0 };
        let mut recorded = Vec::new();
        let mut tree = Tree::new();
        for era in 0..eras {
            let era = workshop.era(era, &tree, random);
            tree = era.disk_behind().cut(KINDS[random.random_range(0..KINDS.len())], random);
            recorded.push(era);
        }
        let notes = notes::read(&workshop.notes());
        Self { eras: recorded, notes, kills: workshop.kills }
    }
}

impl Era {
    /// What was recorded in `log` of a directory that was `base` before; nothing was missed.
    pub(crate) fn read(base: (Tree, Inodes), directory: &Path, log: &Path, random: &mut StdRng) -> Self {
        let era = Self { base, entries: log::read(log) };
        let replayed = era.disk_behind().cut(Kept::Everything, random);
        assert!(
            replayed == tree::read(directory).0,
            "the recorder has missed something of {}",
            directory.display()
        );
        era
    }

    /// The disk at the end of what was recorded.
    pub(crate) fn disk_behind(&self) -> Disk {
        let mut disk = Disk::new(&self.base.0, &self.base.1);
        self.entries.iter().for_each(|entry| disk.apply(entry));
        disk
    }
}

impl Workshop {
    fn notes(&self) -> PathBuf {
        self.directory.path().join("notes")
    }

    fn era(&mut self, number: u64, tree: &Tree, random: &mut StdRng) -> Era {
        let directory = self.directory.path().join(format!("era-{number}"));
        fs::create_dir(&directory).unwrap();
        tree::write(tree, &directory);
        let base = tree::read(&directory);
        let log = self.directory.path().join(format!("era-{number}.log"));
        for life in 1..=LIVES {
            self.live(&directory, &log, number * LIVES + life, random.random_range(1..=ENTRIES));
        }
        Era::read(base, &directory, &log, random)
    }

    fn live(&mut self, directory: &Path, log: &Path, life: u64, kill_at: u64) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_journal-load"));
        command.arg(directory.join(JOURNAL)).arg(self.notes());
        command.args([life.to_string(), GROUPS.to_string()]);
        self.recorder.record(&mut command, directory, log, Some(kill_at));
        let output = command.output().unwrap();
        let killed = output.status.signal() == Some(libc::SIGKILL);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(killed || output.status.success(), "process {life}: {}: {said}", output.status);
        self.kills += usize::from(killed);
    }
}
