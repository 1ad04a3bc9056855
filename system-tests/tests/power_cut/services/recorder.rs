//! A service's binary under the recorder: one process after the other, and power cuts between them.

use std::path::PathBuf;

use rand::RngExt as _;
use rand::rngs::StdRng;
use system_tests::power_cut::loss::KINDS;
use system_tests::power_cut::recorder::Recorder;
use system_tests::power_cut::tree::{self, Inodes, Tree};
use system_tests::process::Process;
use tempfile::TempDir;

use crate::points::data;
use crate::recording::{self, Era};

/// Where all of it is written.
pub(crate) struct Workshop {
    directory: TempDir,
    recorder: Recorder,
    binary: &'static str,
    tree: Tree,
    base: (Tree, Inodes),
    pub(crate) eras: Vec<Era>,
}

impl Workshop {
    pub(crate) fn new(binary: &'static str) -> Self {
        let directory = recording::directory();
        let recorder = Recorder::compile(directory.path());
        Self { directory, recorder, binary, tree: Tree::new(), base: Default::default(), eras: Vec::new() }
    }

    /// What is on the disk before the next era is changed.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Tree)) {
        change(&mut self.tree);
    }

    /// What was done since the era began is on the disk as a whole, and is not looked at.
    pub(crate) fn end_prologue(&mut self) {
        self.tree = tree::read(&self.era_directory()).0;
        std::fs::remove_dir_all(self.era_directory()).unwrap();
        std::fs::remove_file(self.log()).unwrap();
    }

    fn era_directory(&self) -> PathBuf {
        self.directory.path().join(format!("era-{}", self.eras.len()))
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join(format!("era-{}.log", self.eras.len()))
    }

    /// The next era begins with what the power cut behind the one before has left.
    pub(crate) fn begin_era(&mut self) {
        let directory = self.era_directory();
        std::fs::create_dir(&directory).unwrap();
        tree::write(&self.tree, &directory);
        self.base = tree::read(&directory);
    }

    /// A process, which is killed behind this entry of its own.
    pub(crate) fn start(&self, broker: &[String], kill_at: Option<u64>) -> Process {
        let directory = self.era_directory();
        let mut flags = broker.to_vec();
        flags.extend(["--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned));
        flags.push(data(&directory).display().to_string());
        Process::start_recorded(self.binary, &flags, (&self.recorder, &directory, &self.log()), kill_at)
    }

    pub(crate) fn end_era(&mut self, random: &mut StdRng) {
        let era = Era::read(std::mem::take(&mut self.base), &self.era_directory(), &self.log(), random);
        self.tree = era.disk_behind().cut(KINDS[random.random_range(0..KINDS.len())], random);
        self.eras.push(era);
    }
}
