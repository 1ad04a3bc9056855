//! `docs/tutorial.md` is a program that builds and passes its tests, in a folder outside of this workspace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The files of the page: blocks that name the same one stand behind each other in it.
fn files(page: &str) -> BTreeMap<&str, String> {
    let mut files = BTreeMap::<&str, String>::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let (head, text) = block.split_once('\n').unwrap();
        if let Some((_, name)) = head.split_once(" file=") {
            let file = files.entry(name).or_default();
            file.push_str(text);
            file.push('\n');
        }
    }
    files
}

#[test]
fn the_files_of_a_page_are_its_blocks_that_say_so() {
    let page = "A.\n\n```rust file=a.rs\n1\n```\n\n```sh\nb\n```\n\n```rust file=a.rs\n2\n```\n";
    assert_eq!(files(page), BTreeMap::from([("a.rs", "1\n2\n".to_owned())]));
}

/// Nothing is built twice: it has the workspace's lock file and its target folder, where the tests of the workspace lie.
#[test]
fn the_tutorial_is_a_program_that_passes_its_tests() {
    let page = fs::read_to_string(root().join("docs/tutorial.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("bank");
    for (name, text) in files(&page) {
        let path = package.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // What is not published yet is taken from here.
        let here = format!("path = {:?}", env!("CARGO_MANIFEST_DIR"));
        let text = text.replace("daybook = \"0.1\"", &format!("daybook = {{ {here} }}"));
        fs::write(path, text.replace("version = \"0.1\", features", &format!("{here}, features"))).unwrap();
    }
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let profiles = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profiles = &profiles[profiles.find("[profile.release]").unwrap()..];
    let manifest = package.join("Cargo.toml");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap() + "\n[workspace]\n\n" + profiles).unwrap();
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--offline", "--target-dir"]).arg(target).current_dir(&package);
    for (variable, _) in env::vars_os() {
        // What Cargo says to this test is not meant for that program.
        if variable.to_string_lossy().starts_with("CARGO_PKG_") || variable == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(variable);
        }
    }
    let tested = cargo.output().unwrap();
    let said = [tested.stdout, tested.stderr].concat();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&said));
}
