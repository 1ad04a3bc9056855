//! Who may import what.

use crate::tree::Tree;

/// sled: one file, of the whole repository and its tests.
pub(crate) fn sled(tree: &Tree) -> Vec<String> {
    const ONE: &str = "crates/daybook-store/src/database.rs";
    let importers = importers(tree.rust(), "sled");
    let mut violations = Vec::new();
    if !importers.contains(&ONE) {
        violations.push(format!("{ONE} does not import sled: this rule has lost what it looks for"));
    }
    let others = importers.iter().filter(|path| **path != ONE);
    violations.extend(others.map(|path| format!("{path} must not import sled")));
    violations
}

/// rdkafka: `daybook-kafka` alone.
pub(crate) fn rdkafka(tree: &Tree) -> Vec<String> {
    let importers = importers(tree.sources(), "rdkafka");
    let outside = importers.iter().filter(|path| !path.starts_with("crates/daybook-kafka/"));
    let mut violations: Vec<_> = outside.map(|path| format!("{path} must not import rdkafka")).collect();
    if importers.is_empty() {
        violations.push("nothing imports rdkafka: this rule has lost what it looks for".to_owned());
    }
    violations
}

fn importers<'t>(files: impl Iterator<Item = (&'t str, &'t str)>, name: &str) -> Vec<&'t str> {
    let path = format!("{name}::");
    files.filter(|(_, content)| names(content, &path)).map(|(path, _)| path).collect()
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
    let one = ("crates/daybook-store/src/database.rs", "use sled::Db;");
    assert!(sled(&Tree::made_of(&[one])).is_empty());
    for path in ["crates/daybook-store/src/store.rs", "query-api/src/lib.rs", "projector/tests/rows.rs"] {
        let stray = (path, "fn open(db: &sled::Db) {}");
        assert_eq!(sled(&Tree::made_of(&[one, stray])), [format!("{path} must not import sled")]);
        assert_eq!(sled(&Tree::made_of(&[stray])).len(), 2);
    }
}

#[test]
fn rdkafka_outside_its_crate_is_seen() {
    let inside = ("crates/daybook-kafka/src/reader.rs", "use rdkafka::consumer::BaseConsumer;");
    assert!(rdkafka(&Tree::made_of(&[inside])).is_empty());
    let stray = ("crates/daybook-projection/src/follower.rs", "use rdkafka::message::Message;");
    assert_eq!(rdkafka(&Tree::made_of(&[inside, stray])).len(), 1);
    assert_eq!(rdkafka(&Tree::made_of(&[])).len(), 1);
}
