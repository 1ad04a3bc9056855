//! The recorder as a library that is preloaded into a process: `recorder/recorder.c`, compiled for a test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiled recorder.
pub struct Recorder {
    library: PathBuf,
}

impl Recorder {
    /// Compiles it into a directory, with the C compiler that the workspace's own dependencies need as well.
    pub fn compile(into: &Path) -> Self {
        let library = into.join("recorder.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorder/recorder.c");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
        let status = command.status().expect("a C compiler, as `cc`");
        assert!(status.success(), "the recorder could not be compiled");
        Self { library }
    }

    /// Has `command` recorded: what it does below `directory` is appended to `log`. Behind entry `kill_at` of its own it is
    /// killed with SIGKILL. It must not be killed otherwise: an operation could be done and not noted.
    pub fn record(&self, command: &mut Command, directory: &Path, log: &Path, kill_at: Option<u64>) {
        let directory = directory.canonicalize().expect("a directory to record");
        command
            .env("LD_PRELOAD", &self.library)
            .env("RECORDER_DIRECTORY", directory)
            .env("RECORDER_LOG", log);
        match kill_at {
            Some(entry) => command.env("RECORDER_KILL_AT", entry.to_string()),
            None => command.env_remove("RECORDER_KILL_AT"),
        };
    }
}
