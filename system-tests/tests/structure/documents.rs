//! Documents drift where nothing executes them: paths and tests they name must exist, and each source file says what it is for.

use crate::tree::Tree;

/// Documents whose paths are checked.
const DOCUMENTS: [&str; 4] = ["ARCHITECTURE.md", "README.md", "schemas/README.md", "fuzz/README.md"];
/// The document that names tests.
const ARCHITECTURE: &str = "ARCHITECTURE.md";
/// Its section that names tests.
const INVARIANTS: &str = "## Invariants";
/// Folders at the top level that a path in a document may begin with.
const TOP_LEVEL: [&str; 10] = [
    ".ci/",
    "crates/",
    "schemas/",
    "command-services/",
    "projector/",
    "query-api/",
    "quickstart/",
    "system-tests/",
    "benchmarks/",
    "fuzz/",
];

/// Paths in backquotes that begin with a folder of ours and lead nowhere.
pub(crate) fn missing_paths(tree: &Tree) -> Vec<String> {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let Some(text) = tree.files.get(document) else {
            missing.push(format!("{document} does not exist"));
            continue;
        };
        let unknown = paths(text).filter(|path| !exists(tree, path));
        missing.extend(unknown.map(|path| format!("{document} names `{path}`, which does not exist")));
    }
    missing
}

/// Source files that do not begin by saying what they are for: the map of the code is made of that (`cargo doc`).
pub(crate) fn without_purpose(tree: &Tree) -> Vec<String> {
    let without = tree.sources().filter(|(_, code)| !code.starts_with("//! "));
    without.map(|(path, _)| format!("{path} does not begin with `//!` and what it is for")).collect()
}

/// Tests that the table of invariants names and that are nowhere, since they were renamed or removed.
pub(crate) fn missing_tests(tree: &Tree) -> Vec<String> {
    let text = tree.files.get(ARCHITECTURE).map_or("", String::as_str);
    let Some((_, table)) = text.split_once(INVARIANTS) else {
        return vec![format!("{ARCHITECTURE} has no section `{INVARIANTS}`")];
    };
    let table = table.split_once("\n## ").map_or(table, |(table, _)| table);
    let code = || tree.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(_, code)| code);
    let is_there = |name: &str| {
        let function = format!("fn {name}(");
        code().any(|code| code.contains(&function))
    };
    let gone = table.split('`').skip(1).step_by(2).filter(|quoted| is_test(quoted) && !is_there(quoted));
    gone.map(|name| format!("{ARCHITECTURE} names the test `{name}`, which does not exist")).collect()
}

/// Names of tests are sentences; nothing else in that section has so many words.
fn is_test(quoted: &str) -> bool {
    quoted.matches('_').count() > 1
        && quoted.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| TOP_LEVEL.iter().any(|folder| quoted.starts_with(folder)) && is_path(quoted))
}

/// Placeholders and commands are no paths.
fn is_path(quoted: &str) -> bool {
    quoted.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    tree.files.contains_key(path) || tree.files.keys().any(|known| known.starts_with(&folder))
}

#[test]
fn a_path_that_leads_nowhere_is_seen() {
    let document =
        "see `projector/src/view.rs`, `projector/src/`, `cargo run` and `schemas/events/<type>.json`";
    let documents = |extra: (&'static str, &'static str)| {
        let others = ["README.md", "schemas/README.md", "fuzz/README.md"].map(|path| (path, ""));
        Tree::made_of(&[&[("ARCHITECTURE.md", document), extra], &others[..]].concat())
    };
    assert!(missing_paths(&documents(("projector/src/view.rs", ""))).is_empty());
    let gone = missing_paths(&documents(("projector/src/engine.rs", "")));
    assert_eq!(gone, ["ARCHITECTURE.md names `projector/src/view.rs`, which does not exist"]);
    assert_eq!(missing_paths(&Tree::default()).len(), DOCUMENTS.len());
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_seen() {
    let (view, cache) = ("projector/src/view.rs", "projector/src/cache.rs");
    let tree = |code: &'static str| Tree::made_of(&[(view, "//! A view.\n\nfn fold() {}"), (cache, code)]);
    assert!(without_purpose(&tree("//! Rows in memory.\n")).is_empty());
    let said = ["projector/src/cache.rs does not begin with `//!` and what it is for"];
    assert_eq!(without_purpose(&tree("use sled;\n//! Rows in memory.\n")), said);
}

#[test]
fn a_test_that_is_gone_is_seen() {
    let map = "`was_never_a_test`\n## Invariants\n| it holds | `it_holds_for_ever`, `fdatasync` |\n## Map\n`not_a_test`";
    let tree =
        |test: &'static str| Tree::made_of(&[("ARCHITECTURE.md", map), ("projector/tests/it.rs", test)]);
    assert!(missing_tests(&tree("#[test]\nfn it_holds_for_ever() {}")).is_empty());
    let gone = missing_tests(&tree("#[test]\nfn it_holds_for_ever_and_a_day() {}"));
    assert_eq!(gone, ["ARCHITECTURE.md names the test `it_holds_for_ever`, which does not exist"]);
    assert_eq!(missing_tests(&Tree::default()).len(), 1);
}
