//! Who may import what.

use crate::tree::Tree;

/// The shop's own words; a kernel that contains one of them in code knows the domain.
const SHOP_MODULES: [&str; 3] = ["crate::shop", "schemas::shop", "super::shop"];

/// sled: one file in `command-services`, one in `projector`, and nowhere else.
pub(crate) fn sled(tree: &Tree) -> Vec<String> {
    let importers = importers(tree, "sled");
    let mut violations = Vec::new();
    for side in ["command-services/", "projector/"] {
        let files: Vec<_> = importers.iter().filter(|path| path.starts_with(side)).collect();
        if files.len() != 1 {
            violations.push(format!("{side} must import sled in exactly one file, found {files:?}"));
        }
    }
    let elsewhere = |path: &&&str| !path.starts_with("command-services/") && !path.starts_with("projector/");
    violations.extend(importers.iter().filter(elsewhere).map(|path| format!("{path} must not import sled")));
    violations
}

/// rdkafka: `event-log` alone.
pub(crate) fn rdkafka(tree: &Tree) -> Vec<String> {
    let importers = importers(tree, "rdkafka");
    let outside = importers.iter().filter(|path| !path.starts_with("event-log/"));
    let mut violations: Vec<_> = outside.map(|path| format!("{path} must not import rdkafka")).collect();
    if importers.is_empty() {
        violations.push("nothing imports rdkafka: this rule has lost what it looks for".to_owned());
    }
    violations
}

/// Kernel files: everything under a `kernel` folder, `event-log`, and `schemas` but for its `shop`.
pub(crate) fn kernel(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, content) in tree.sources().filter(|(path, _)| is_kernel(path)) {
        let known = SHOP_MODULES.iter().filter(|module| names(content, module));
        violations.extend(known.map(|module| format!("{path} is kernel and must not import {module}")));
    }
    violations
}

fn is_kernel(path: &str) -> bool {
    let contract = path.starts_with("schemas/src/")
        && !path.starts_with("schemas/src/shop")
        && !path.ends_with("lib.rs");
    path.contains("/kernel/") || path.ends_with("/kernel.rs") || path.starts_with("event-log/") || contract
}

/// No file of the write side names the read side's crates, and the other way round.
pub(crate) fn sides(tree: &Tree) -> Vec<String> {
    let forbidden = [
        ("command-services/", &["projector", "query_api"][..]),
        ("projector/", &["command_services", "query_api"][..]),
        ("query-api/", &["command_services"][..]),
    ];
    let mut violations = Vec::new();
    for (side, crates) in forbidden {
        for (path, content) in tree.sources().filter(|(path, _)| path.starts_with(side)) {
            let known =
                crates.iter().filter(|name| names(content, &format!("{name}::")) && !path.starts_with(*name));
            violations.extend(known.map(|name| format!("{path} must not name {name}")));
        }
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
    let one = ("command-services/src/kernel/store.rs", "use sled::Db;");
    let two = ("projector/src/kernel/generation.rs", "fn open(db: &sled::Db) {}");
    assert!(sled(&Tree::made_of(&[one, two])).is_empty());
    assert_eq!(sled(&Tree::made_of(&[one])).len(), 1);
    assert_eq!(
        sled(&Tree::made_of(&[one, two, ("projector/src/kernel/view.rs", "use sled::IVec;")])).len(),
        1
    );
    let stray = ("query-api/src/lib.rs", "use sled::Db;");
    assert_eq!(sled(&Tree::made_of(&[one, two, stray])), ["query-api/src/lib.rs must not import sled"]);
}

#[test]
fn rdkafka_outside_event_log_is_seen() {
    let inside = ("event-log/src/reader.rs", "use rdkafka::consumer::BaseConsumer;");
    assert!(rdkafka(&Tree::made_of(&[inside])).is_empty());
    let stray = ("projector/src/kernel/follower.rs", "use rdkafka::message::Message;");
    assert_eq!(rdkafka(&Tree::made_of(&[inside, stray])).len(), 1);
    assert_eq!(rdkafka(&Tree::made_of(&[])).len(), 1);
}

#[test]
fn a_kernel_that_knows_the_shop_is_seen() {
    let clean = ("projector/src/kernel/engine.rs", "// as crate::shop does\nuse crate::kernel::view::View;");
    let domain = ("projector/src/shop/orders.rs", "use schemas::shop::OrderEvent;");
    assert!(kernel(&Tree::made_of(&[clean, domain])).is_empty());
    for import in ["use crate::shop::LAYOUT;", "use schemas::shop::ShopEvent;"] {
        assert_eq!(
            kernel(&Tree::made_of(&[("projector/src/kernel/engine.rs", import)])).len(),
            1,
            "{import}"
        );
    }
    assert_eq!(kernel(&Tree::made_of(&[("schemas/src/envelope.rs", "use crate::shop::TOPICS;")])).len(), 1);
}

#[test]
fn a_side_that_names_the_other_is_seen() {
    let stray = ("query-api/src/kernel/serving.rs", "use command_services::Settings;");
    assert_eq!(sides(&Tree::made_of(&[stray])).len(), 1);
    let own = ("query-api/src/kernel/serving.rs", "use projector::Generation;");
    assert!(sides(&Tree::made_of(&[own])).is_empty());
}
