//! Small file systems of a test's own, mounted over a service's directory: disks that are full, take no writes, or hang.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What the filler writes at a time.
const FILLER_BYTES: usize = 4_096;
const FILLER: &str = "lost+found/filler";
/// Size of the image that holds an ext4; some of it goes to its journal.
const EXT4_MIB: u64 = 128;

/// A mounted file system; it is gone when dropped.
pub struct Mounted {
    at: PathBuf,
    image: Option<TempDir>,
}

impl Mounted {
    /// An empty one in memory. `None`, and a word about it, where mounting is not allowed.
    pub fn tmpfs(at: &Path, mib: u64) -> Option<Self> {
        let size = format!("size={mib}m");
        let mounted = Self { at: at.to_owned(), image: None };
        mounted.mount(&["-t", "tmpfs", "-o", &size, "tmpfs"])
    }

    /// An empty ext4 in a file. `None`, and a word about it, where mounting is not allowed.
    pub fn ext4(at: &Path) -> Option<Self> {
        let image = TempDir::with_prefix("daybook-ext4-").expect("a temporary directory");
        let file = image.path().join("image");
        File::create(&file).and_then(|file| file.set_len(EXT4_MIB << 20)).expect("room for the image");
        let path = file.to_str().expect("a path in UTF-8");
        if let Err(said) = run("mkfs.ext4", &["-q", "-F", path]) {
            eprintln!("skipped: there is no ext4 to be made here: {said}");
            return None;
        }
        let mounted = Self { at: at.to_owned(), image: Some(image) };
        mounted.mount(&["-o", "loop,errors=remount-ro", path])
    }

    fn mount(self, arguments: &[&str]) -> Option<Self> {
        if let Err(said) = run("mount", &[arguments, &[self.path()]].concat()) {
            eprintln!("skipped: mounting is not allowed here: {said}");
            return None;
        }
        fs::create_dir_all(self.at.join("lost+found")).expect("a writable file system");
        Some(self)
    }

    /// Takes all space that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.at.join(FILLER)).expect("a writable file system");
        while filler.write_all(&[0; FILLER_BYTES]).is_ok() {}
    }

    /// Gives the space back.
    pub fn free(&self) {
        fs::remove_file(self.at.join(FILLER)).expect("the filler goes");
    }

    /// From now on this file cannot be changed, also through handles that are open.
    pub fn forbid_writes(&self, file: &str) {
        must("chattr", &["+i", self.at.join(file).to_str().expect("a path in UTF-8")]);
    }

    /// Takes that back.
    pub fn allow_writes(&self, file: &str) {
        must("chattr", &["-i", self.at.join(file).to_str().expect("a path in UTF-8")]);
    }

    /// The file system meets an error of its own and turns read-only, as it does when its disk fails.
    pub fn break_down(&self) {
        let source = must("findmnt", &["-n", "-o", "SOURCE", self.path()]);
        let device = source.rsplit('/').next().unwrap_or_default().to_owned();
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(&trigger, "test").expect("the kernel has this trigger");
    }

    /// Mounts it again, once nobody uses it any more, with its journal replayed.
    pub fn mount_again(&self) {
        must("umount", &[self.path()]);
        let image = self.image.as_ref().expect("an ext4").path().join("image");
        must("mount", &["-o", "loop", image.to_str().expect("a path in UTF-8"), self.path()]);
    }

    /// Whoever writes or syncs waits until the guard is dropped.
    pub fn freeze(&self) -> Frozen<'_> {
        must("fsfreeze", &["-f", self.path()]);
        Frozen(self)
    }

    fn path(&self) -> &str {
        self.at.to_str().expect("a path in UTF-8")
    }
}

/// A file system that hangs. To be dropped before the processes that it keeps waiting: they cannot even be killed.
pub struct Frozen<'m>(&'m Mounted);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let thawed = run("fsfreeze", &["-u", self.0.path()]);
        assert!(thawed.is_ok() || std::thread::panicking(), "{thawed:?}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: whoever still has files open there keeps them until it ends. One that was never mounted stays so.
        let _ = run("umount", &["-l", self.path()]);
    }
}

fn must(program: &str, arguments: &[&str]) -> String {
    run(program, arguments).unwrap_or_else(|said| panic!("{program} {}: {said}", arguments.join(" ")))
}

/// What a program printed, or what it said when it failed.
fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program} cannot be run: {error}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
