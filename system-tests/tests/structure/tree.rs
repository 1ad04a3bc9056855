//! The repository as text: paths relative to its root, and contents.

use std::collections::BTreeMap;
use std::path::Path;

/// Folders that are not ours or not kept.
const SKIPPED: [&str; 3] = ["target", ".git", "data"];

/// Paths with contents.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Contents by path, with `/` between folders. Files that are not UTF-8 have empty contents.
    pub(crate) files: BTreeMap<String, String>,
}

impl Tree {
    /// All files of this repository.
    pub(crate) fn of_repository() -> Self {
        let mut tree = Self::default();
        tree.read(root(), "");
        tree
    }

    /// A tree made up for a test of a rule.
    pub(crate) fn made_of(files: &[(&str, &str)]) -> Self {
        let owned = |(path, content): &(&str, &str)| ((*path).to_owned(), (*content).to_owned());
        Self { files: files.iter().map(owned).collect() }
    }

    /// Rust files but those of this test, which have made-up code.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, content)| (path.as_str(), content.as_str()));
        files.filter(|(path, _)| path.ends_with(".rs") && !path.starts_with("system-tests/tests/structure/"))
    }

    /// Rust files outside tests, examples and benches: what ships.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        let shipped =
            |path: &str| path.contains("/src/") && !path.contains("tests") && !path.contains("testing");
        self.rust().filter(move |(path, _)| shipped(path))
    }

    /// Texts that are written for people.
    pub(crate) fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(|(path, _)| path.ends_with(".md"))
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|known| known.starts_with(&folder))
    }

    fn read(&mut self, directory: &Path, prefix: &str) {
        for entry in std::fs::read_dir(directory).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = format!("{prefix}{name}");
            if entry.file_type().expect("a known kind of file").is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.read(&entry.path(), &format!("{path}/"));
                }
            } else {
                self.files.insert(path, std::fs::read_to_string(entry.path()).unwrap_or_default());
            }
        }
    }
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around this crate")
}

/// Fails with all violations, one a line.
#[track_caller]
pub(crate) fn assert_kept(violations: &[String]) {
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
