//! Writes and syncs that fail or hang: `injector/injector.c`, compiled, preloaded into a process, and told what to strike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Writes, and reservations of room.
    Write,
    /// Syncs of a file or a directory.
    Sync,
    /// Both.
    Any,
}

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// They fail with an input or output error.
    Eio,
    /// They fail because there is no room.
    Enospc,
    /// They wait until the rule is taken back.
    Hang,
}

/// What is struck.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'p> {
    /// Which calls are counted.
    pub operation: Operation,
    /// A part of the file's path, without spaces.
    pub path: &'p str,
    /// The first of them that is struck, from 1.
    pub first: u64,
    /// How many are; 0 for all from there on.
    pub count: u64,
    /// What becomes of them.
    pub action: Action,
}

/// The rules of one process, or of several.
pub struct Injector {
    library: PathBuf,
    directory: TempDir,
}

impl Injector {
    /// Without any rule.
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("daybook-injector-").expect("a temporary directory");
        let library = directory.path().join("injector.so");
        compile(&library);
        Self { library, directory }
    }

    /// A process that is started by `command` obeys the rules.
    pub fn inject(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("INJECTOR_RULES", self.rules())
            .env("INJECTOR_LOG", self.log());
    }

    /// From now on these rules hold, and no others. Counting begins anew.
    pub fn strike(&self, rules: &[Rule<'_>]) {
        static LABELS: AtomicU32 = AtomicU32::new(0);
        let line = |rule: &Rule<'_>| {
            let Rule { operation, path, first, count, action } = *rule;
            let operation = match operation {
                Operation::Write => "write",
                Operation::Sync => "sync",
                Operation::Any => "any",
            };
            let action = match action {
                Action::Eio => "EIO",
                Action::Enospc => "ENOSPC",
                Action::Hang => "hang",
            };
            let label = LABELS.fetch_add(1, Ordering::Relaxed);
            format!("{operation} {path} {first} {count} {action} rule-{label};\n")
        };
        let text: String = rules.iter().map(line).collect();
        // Under its name it is there as a whole.
        let new = self.directory.path().join("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, self.rules())).expect("rules can be written");
    }

    /// Nothing fails any more, and what hangs goes on.
    pub fn heal(&self) {
        self.strike(&[]);
    }

    /// The calls that were struck so far: rule and path.
    pub fn struck(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn rules(&self) -> PathBuf {
        self.directory.path().join("rules")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Default for Injector {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        // Whoever still hangs would never see that the rules have gone with the directory.
        self.heal();
    }
}

/// Compiles the library, with the C compiler that the workspace's own dependencies need as well.
fn compile(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("injector/injector.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(library).arg(source);
    let status = command.status().expect("a C compiler, as `cc`");
    assert!(status.success(), "the injector could not be compiled");
}
