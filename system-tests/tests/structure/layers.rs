//! Which crate may depend on which.

use std::collections::BTreeMap;
use std::process::Command;

use crate::tree;

/// Crates of this workspace with the crates of this workspace that each may depend on.
const ARROWS: [(&str, &[&str]); 18] = [
    ("daybook-store", &[]),
    ("daybook-journal", &[]),
    ("daybook-macros", &[]),
    ("daybook-event", &["daybook-macros"]),
    ("daybook-service", &["daybook-event"]),
    ("daybook-kafka", &["daybook-service"]),
    (
        "daybook-command",
        &[
            "daybook-event",
            "daybook-journal",
            "daybook-kafka",
            "daybook-service",
            "daybook-store",
            "daybook-stream",
        ],
    ),
    ("daybook-stream", &["daybook-event", "daybook-kafka", "daybook-service"]),
    (
        "daybook-projection",
        &["daybook-event", "daybook-kafka", "daybook-service", "daybook-store", "daybook-stream"],
    ),
    (
        "daybook-query",
        &[
            "daybook-event",
            "daybook-kafka",
            "daybook-projection",
            "daybook-service",
            "daybook-store",
            "daybook-stream",
        ],
    ),
    ("daybook", OF_THE_FACADE),
    ("schemas", &["daybook-event"]),
    ("command-services", OF_THE_WRITE_SIDE),
    ("projector", OF_THE_VIEWS),
    ("query-api", OF_THE_READ_SIDE),
    ("quickstart", ALL),
    ("system-tests", ALL),
    ("benchmarks", ALL),
];

/// All that a program may need; the shop is for its examples.
const OF_THE_FACADE: &[&str] = &[
    "daybook-command",
    "daybook-event",
    "daybook-kafka",
    "daybook-projection",
    "daybook-query",
    "daybook-service",
    "daybook-store",
    "schemas",
];
const OF_THE_WRITE_SIDE: &[&str] =
    &["daybook-command", "daybook-event", "daybook-journal", "daybook-kafka", "daybook-service", "schemas"];
const OF_THE_VIEWS: &[&str] =
    &["daybook-event", "daybook-kafka", "daybook-projection", "daybook-service", "daybook-store", "schemas"];
const OF_THE_READ_SIDE: &[&str] = &[
    "daybook-event",
    "daybook-kafka",
    "daybook-projection",
    "daybook-query",
    "daybook-service",
    "daybook-store",
    "projector",
    "schemas",
];
/// Of those above all others.
const ALL: &[&str] = &[
    "command-services",
    "daybook",
    "daybook-command",
    "daybook-event",
    "daybook-journal",
    "daybook-kafka",
    "daybook-projection",
    "daybook-query",
    "daybook-service",
    "daybook-store",
    "projector",
    "query-api",
    "quickstart",
    "schemas",
];

/// Parts of the names of features that make services do harm.
const HARMFUL: [&str; 2] = ["sabotage", "failpoints"];

/// Dependencies, also those for tests and builds, of each crate on crates of this workspace.
pub(crate) type Dependencies = BTreeMap<String, Vec<String>>;

/// Manifests of this workspace's crates, as Cargo itself reads them.
pub(crate) fn manifests() -> Vec<serde_json::Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).current_dir(tree::root());
    let output = command.output().expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// What each crate depends on.
pub(crate) fn workspace_dependencies() -> Dependencies {
    manifests().iter().map(|package| (text(&package["name"]), within_workspace(package))).collect()
}

/// One sentence for each crate that has harmful services built without being asked.
pub(crate) fn sabotage_unasked(manifests: &[serde_json::Value]) -> Vec<String> {
    let asks = |features: &serde_json::Value| {
        features
            .as_array()
            .into_iter()
            .flatten()
            .any(|feature| HARMFUL.iter().any(|harmful| text(feature).contains(harmful)))
    };
    let mut violations = Vec::new();
    for package in manifests {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        if asks(&package["features"]["default"]) || dependencies.into_iter().any(|on| asks(&on["features"])) {
            violations.push(format!("crate {} builds sabotage by default", text(&package["name"])));
        }
    }
    violations
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
        // On itself, with its test kit, for its tests.
        let forbidden = tos.iter().filter(|to| *to != from && !allowed.contains(&to.as_str()));
        violations.extend(forbidden.map(|to| format!("crate {from} must not depend on {to}")));
    }
    violations
}

#[test]
fn an_arrow_against_the_layers_is_seen() {
    let dependencies = |from: &str, to: &str| Dependencies::from([(from.to_owned(), vec![to.to_owned()])]);
    assert_eq!(violations(&dependencies("query-api", "projector")), Vec::<String>::new());
    assert_eq!(violations(&dependencies("daybook-kafka", "daybook-kafka")), Vec::<String>::new());
    assert_eq!(
        violations(&dependencies("projector", "command-services")),
        ["crate projector must not depend on command-services"]
    );
    assert_eq!(
        violations(&dependencies("common", "schemas")),
        ["crate common has no place in the arrows between crates"]
    );
}

#[test]
fn sabotage_by_default_is_seen() {
    let manifest = |default: &[&str], of_dependency: &[&str]| {
        serde_json::json!({
            "name": "query-api",
            "features": { "default": default, "sabotage": ["daybook-service/failpoints"] },
            "dependencies": [{ "name": "daybook-service", "features": of_dependency }],
        })
    };
    assert!(sabotage_unasked(&[manifest(&[], &["tls"])]).is_empty());
    for wrong in [manifest(&["daybook-service/failpoints"], &[]), manifest(&[], &["sabotage"])] {
        assert_eq!(sabotage_unasked(&[wrong]), ["crate query-api builds sabotage by default"]);
    }
}
