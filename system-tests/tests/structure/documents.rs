//! Documents drift where nothing executes them: paths and tests they name must exist, those that everybody reads stay short,
//! and each source file says what it is for.

use crate::tree::Tree;

/// The table of what is guaranteed.
const GUARANTEES: &str = "docs/guarantees.md";
/// Documents that name tests.
const NAMING_TESTS: [&str; 5] =
    ["ARCHITECTURE.md", GUARANTEES, "docs/measured.md", "docs/operations.md", "docs/testing.md"];
/// Most lines of a document that everybody reads.
const LINES_MAX: [(&str, usize); 2] = [("README.md", 130), ("ARCHITECTURE.md", 300)];
/// Folders at the top level that a path in a document may begin with.
const TOP_LEVEL: [&str; 11] = [
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
    "docs/",
];

/// Paths in backquotes that begin with a folder of ours and lead nowhere.
pub(crate) fn missing_paths(tree: &Tree) -> Vec<String> {
    let unknown = |text| quoted(text).filter(|path| is_path(path) && !tree.has(path));
    let missing =
        tree.documents().flat_map(|(document, text)| unknown(text).map(move |path| (document, path)));
    missing.map(|(document, path)| format!("{document} names `{path}`, which does not exist")).collect()
}

/// Tests that a document names and that are nowhere, since they were renamed or removed.
pub(crate) fn missing_tests(tree: &Tree) -> Vec<String> {
    let code = || tree.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(_, code)| code);
    let is_there = |name: &str| {
        let function = format!("fn {name}(");
        code().any(|code| code.contains(&function))
    };
    let mut gone = Vec::new();
    for document in NAMING_TESTS {
        let Some(text) = tree.files.get(document) else {
            gone.push(format!("{document} does not exist"));
            continue;
        };
        let unknown = quoted(text).filter(|name| is_test(name) && !is_there(name));
        gone.extend(unknown.map(|name| format!("{document} names the test `{name}`, which does not exist")));
    }
    gone
}

/// Guarantees that name nothing that holds them: neither a test, nor a file with tests, nor a table that does.
pub(crate) fn without_test(tree: &Tree) -> Vec<String> {
    let rows = tree.files.get(GUARANTEES).map_or("", String::as_str).lines().filter_map(guarantee);
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return vec![format!("{GUARANTEES} has no guarantee")];
    }
    let unheld = rows.iter().filter(|(_, held_by)| !held_by.contains('`') && !held_by.contains("]("));
    unheld.map(|(what, _)| format!("{GUARANTEES} names no test of: {what}")).collect()
}

/// Documents that are longer than who reads all of them has time for.
pub(crate) fn too_long(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for (document, max) in LINES_MAX {
        match tree.files.get(document).map(|text| text.lines().count()) {
            None => violations.push(format!("{document} does not exist")),
            Some(lines) if lines > max => {
                violations.push(format!("{document} has {lines} lines, more than {max}"));
            }
            Some(_) => {}
        }
    }
    violations
}

/// Source files that do not begin by saying what they are for: the map of the code is made of that (`cargo doc`).
pub(crate) fn without_purpose(tree: &Tree) -> Vec<String> {
    let without = tree.sources().filter(|(_, code)| !code.starts_with("//! "));
    without.map(|(path, _)| format!("{path} does not begin with `//!` and what it is for")).collect()
}

/// A row of a table with two columns, but for its head: what is guaranteed, and by what it is held.
fn guarantee(line: &str) -> Option<(&str, &str)> {
    let (what, held_by) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
    (what != "guarantee" && !what.starts_with("---")).then_some((what, held_by))
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Names of tests are sentences. Nothing else in those documents has so many words but metrics, which are all of one prefix.
fn is_test(quoted: &str) -> bool {
    quoted.matches('_').count() > 1
        && !quoted.starts_with("daybook_")
        && quoted.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Placeholders and commands are no paths.
fn is_path(quoted: &str) -> bool {
    TOP_LEVEL.iter().any(|folder| quoted.starts_with(folder))
        && quoted.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'))
}

#[test]
fn a_path_that_leads_nowhere_is_seen() {
    let document =
        "see `projector/src/view.rs`, `projector/src/`, `cargo run` and `schemas/events/<type>.json`";
    let documents = |code: &'static str| {
        Tree::made_of(&[("docs/decisions/0001-views.md", document), ("README.md", ""), (code, "")])
    };
    assert!(missing_paths(&documents("projector/src/view.rs")).is_empty());
    let gone = missing_paths(&documents("projector/src/engine.rs"));
    assert_eq!(gone, ["docs/decisions/0001-views.md names `projector/src/view.rs`, which does not exist"]);
}

#[test]
fn a_test_that_is_gone_is_seen() {
    let table = "| it holds | `it_holds_for_ever`, `fdatasync`, `daybook_topic_faults` |";
    let tree = |test: &'static str| {
        let documents =
            NAMING_TESTS.map(|document| (document, if document == GUARANTEES { table } else { "" }));
        Tree::made_of(&[&documents[..], &[("projector/tests/it.rs", test)]].concat())
    };
    assert!(missing_tests(&tree("#[test]\nfn it_holds_for_ever() {}")).is_empty());
    let gone = missing_tests(&tree("#[test]\nfn it_holds_for_ever_and_a_day() {}"));
    assert_eq!(gone, ["docs/guarantees.md names the test `it_holds_for_ever`, which does not exist"]);
    assert_eq!(missing_tests(&Tree::default()).len(), NAMING_TESTS.len());
}

#[test]
fn a_guarantee_without_a_test_is_seen() {
    let head = "| guarantee | held by |\n| --- | --- |\n";
    let tree = |row: &str| Tree::made_of(&[(GUARANTEES, &format!("{head}{row}"))]);
    for held in ["| It holds. | `it_holds_for_ever` |", "| It holds. | [a table](operations.md) |"] {
        assert!(without_test(&tree(held)).is_empty(), "{held}");
    }
    let unheld = "docs/guarantees.md names no test of: It holds.";
    assert_eq!(without_test(&tree("| It holds. | believe us |")), [unheld]);
    assert_eq!(without_test(&tree("")), ["docs/guarantees.md has no guarantee"]);
}

#[test]
fn a_document_that_grew_too_long_is_seen() {
    let tree = |lines: usize| {
        Tree::made_of(&[("README.md", &"A line.\n".repeat(lines)), ("ARCHITECTURE.md", "One line.")])
    };
    assert!(too_long(&tree(130)).is_empty());
    assert_eq!(too_long(&tree(131)), ["README.md has 131 lines, more than 130"]);
    assert_eq!(too_long(&Tree::default()).len(), LINES_MAX.len());
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_seen() {
    let (view, cache) = ("projector/src/view.rs", "projector/src/cache.rs");
    let tree = |code: &'static str| Tree::made_of(&[(view, "//! A view.\n\nfn fold() {}"), (cache, code)]);
    assert!(without_purpose(&tree("//! Rows in memory.\n")).is_empty());
    let said = ["projector/src/cache.rs does not begin with `//!` and what it is for"];
    assert_eq!(without_purpose(&tree("use sled;\n//! Rows in memory.\n")), said);
}
