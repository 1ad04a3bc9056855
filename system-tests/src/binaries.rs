//! The workspace's binaries, built once for all tests of a run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

/// Directory of what was built, or how Cargo ended.
type Built = OnceLock<Result<PathBuf, NotBuilt>>;

/// Cargo has not built the binaries. It has said why itself, unless a signal ended it.
#[derive(Debug, Clone)]
pub struct NotBuilt(ExitStatus);

impl std::error::Error for NotBuilt {}

impl std::fmt::Display for NotBuilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the binaries could not be built: Cargo ended with {}", self.0)
    }
}

/// Path of a binary of this workspace, in the same profile as the tests. It is built first if nobody has.
pub fn path(name: &str) -> PathBuf {
    services().unwrap_or_else(|error| panic!("{error}")).join(name)
}

/// Path of the program that is a service with a fault built in. It is built first if nobody has.
pub fn sabotaged() -> PathBuf {
    harmful().unwrap_or_else(|error| panic!("{error}")).join("sabotaged")
}

/// Builds all binaries but those that do harm.
///
/// # Errors
/// [`NotBuilt`].
pub fn services() -> Result<&'static Path, NotBuilt> {
    static BUILT: Built = OnceLock::new();
    built(&BUILT, &["--bins"])
}

/// Builds the program that is a service with a fault built in. It is built only here, and under a name of its own: no
/// other binary is touched by it.
///
/// # Errors
/// [`NotBuilt`].
pub fn harmful() -> Result<&'static Path, NotBuilt> {
    static BUILT: Built = OnceLock::new();
    built(&BUILT, &["--bin", "sabotaged", "--features", "system-tests/sabotage"])
}

fn built(once: &'static Built, what: &[&str]) -> Result<&'static Path, NotBuilt> {
    once.get_or_init(|| build(what)).as_deref().map_err(Clone::clone)
}

/// A test of a crate without binaries and without `daybook-kafka`: where Cargo is asked for a test as well, it chooses the
/// features of all dependencies as `cargo test --workspace` does, and so builds none of them a second time.
const SAME_FEATURES: [&str; 2] = ["--test", "schemas"];

/// Cargo builds other packages' binaries for tests only when their own tests are built too; so ask for them.
fn build(what: &[&str]) -> Result<PathBuf, NotBuilt> {
    let directory = target_directory();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    // No benchmark is started from here.
    command
        .args(["build", "--quiet", "--workspace", "--exclude", "benchmarks"])
        .args(what)
        .current_dir(root());
    // Where this program lies, whatever the environment says now: it is there that they are looked for.
    command.arg("--target-dir").arg(directory.parent().expect("target"));
    if directory.ends_with("release") {
        // With the features that users get.
        command.arg("--release");
    } else {
        command.args(SAME_FEATURES);
    }
    let status = command.status().expect("cargo runs");
    if status.success() { Ok(directory) } else { Err(NotBuilt(status)) }
}

/// Tests run from `target/<profile>/deps`, binaries from `target/<profile>`.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the program's own path");
    let directory = program.parent().expect("a program lies in a directory");
    let profile = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    profile.expect("target/<profile>/deps").to_owned()
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around this crate")
}
