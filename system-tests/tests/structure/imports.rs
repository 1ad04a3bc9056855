//! Who may import what.

use crate::tree::Tree;

/// sled: one file of the write side, one of the read side, and nowhere else.
pub(crate) fn sled(tree: &Tree) -> Vec<String> {
    let importers = importers(tree, "sled");
    let sides = ["crates/daybook-command/", "crates/daybook-projection/"];
    let mut violations = Vec::new();
    for side in sides {
        let files: Vec<_> = importers.iter().filter(|path| path.starts_with(side)).collect();
        if files.len() != 1 {
            violations.push(format!("{side} must import sled in exactly one file, found {files:?}"));
        }
    }
    let elsewhere = |path: &&&str| !sides.iter().any(|side| path.starts_with(side));
    violations.extend(importers.iter().filter(elsewhere).map(|path| format!("{path} must not import sled")));
    violations
}

/// rdkafka: `daybook-kafka` alone.
pub(crate) fn rdkafka(tree: &Tree) -> Vec<String> {
    let importers = importers(tree, "rdkafka");
    let outside = importers.iter().filter(|path| !path.starts_with("crates/daybook-kafka/"));
    let mut violations: Vec<_> = outside.map(|path| format!("{path} must not import rdkafka")).collect();
    if importers.is_empty() {
        violations.push("nothing imports rdkafka: this rule has lost what it looks for".to_owned());
    }
    violations
}

fn importers<'t>(tree: &'t Tree, name: &str) -> Vec<&'t str> {
    let path = format!("{name}::");
    tree.sources().filter(|(_, content)| names(content, &path)).map(|(path, _)| path).collect()
}

/// Whether code, not a comment, contains a path that begins with `module`.
fn names(content: &str, module: &str) -> bool {
    let code = content.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().any(|line| line.match_indices(module).any(|(at, _)| begins_there(line, at)))
}

fn begins_there(line: &str, at: usize) -> bool {
    line[..at]
        .chars()
        .next_back()
        .is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':')
}

#[test]
fn a_second_importer_of_sled_is_seen() {
    let one = ("crates/daybook-command/src/store.rs", "use sled::Db;");
    let two = ("crates/daybook-projection/src/generation.rs", "fn open(db: &sled::Db) {}");
    assert!(sled(&Tree::made_of(&[one, two])).is_empty());
    assert_eq!(sled(&Tree::made_of(&[one])).len(), 1);
    let second = ("crates/daybook-projection/src/view.rs", "use sled::IVec;");
    assert_eq!(sled(&Tree::made_of(&[one, two, second])).len(), 1);
    let stray = ("query-api/src/lib.rs", "use sled::Db;");
    assert_eq!(sled(&Tree::made_of(&[one, two, stray])), ["query-api/src/lib.rs must not import sled"]);
}

#[test]
fn rdkafka_outside_its_crate_is_seen() {
    let inside = ("crates/daybook-kafka/src/reader.rs", "use rdkafka::consumer::BaseConsumer;");
    assert!(rdkafka(&Tree::made_of(&[inside])).is_empty());
    let stray = ("crates/daybook-projection/src/follower.rs", "use rdkafka::message::Message;");
    assert_eq!(rdkafka(&Tree::made_of(&[inside, stray])).len(), 1);
    assert_eq!(rdkafka(&Tree::made_of(&[])).len(), 1);
}
