//! Which crate may depend on which.

use std::collections::BTreeMap;
use std::process::Command;

use crate::tree;

/// Crates of this workspace with the crates of this workspace that each may depend on.
const ARROWS: [(&str, &[&str]); 8] = [
    ("schemas", &[]),
    ("event-log", &[]),
    ("command-services", &["schemas", "event-log"]),
    ("projector", &["schemas", "event-log"]),
    ("query-api", &["schemas", "event-log", "projector"]),
    ("quickstart", &["schemas", "event-log", "command-services", "projector", "query-api"]),
    ("system-tests", &["schemas", "event-log", "command-services", "projector", "query-api", "quickstart"]),
    ("benchmarks", &["schemas", "event-log", "command-services", "projector", "query-api", "quickstart"]),
];

/// Dependencies, also those for tests and builds, of each crate on crates of this workspace.
pub(crate) type Dependencies = BTreeMap<String, Vec<String>>;

/// As Cargo itself reads the manifests.
pub(crate) fn workspace_dependencies() -> Dependencies {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).current_dir(tree::root());
    let output = command.output().expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (text(&package["name"]), within_workspace(package))).collect()
}

fn within_workspace(package: &serde_json::Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies
        .filter(|dependency| dependency["path"].is_string())
        .map(|found| text(&found["name"]))
        .collect()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// One sentence for each arrow that must not be.
pub(crate) fn violations(dependencies: &Dependencies) -> Vec<String> {
    let mut violations = Vec::new();
    for (from, tos) in dependencies {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == from) else {
            violations.push(format!("crate {from} has no place in the arrows between crates"));
            continue;
        };
        let forbidden = tos.iter().filter(|to| !allowed.contains(&to.as_str()));
        violations.extend(forbidden.map(|to| format!("crate {from} must not depend on {to}")));
    }
    violations
}

#[test]
fn an_arrow_against_the_layers_is_seen() {
    let dependencies = |from: &str, to: &str| Dependencies::from([(from.to_owned(), vec![to.to_owned()])]);
    assert_eq!(violations(&dependencies("query-api", "projector")), Vec::<String>::new());
    assert_eq!(
        violations(&dependencies("projector", "command-services")),
        ["crate projector must not depend on command-services"]
    );
    assert_eq!(
        violations(&dependencies("common", "schemas")),
        ["crate common has no place in the arrows between crates"]
    );
}
