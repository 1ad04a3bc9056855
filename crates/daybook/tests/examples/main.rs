//! The examples are as small as they are said to be, and run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod program;
mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most lines of an example that are neither blank nor a comment.
const LINES_MAX: [(&str, usize); 3] = [("bank", 95), ("second_view", 30), ("inventory", 80)];

fn source(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).with_extension("rs")
}

/// Lines that are neither blank nor a comment.
fn lines(code: &str) -> usize {
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn lines_are_counted_without_blanks_and_comments() {
    assert_eq!(lines("//! What.\n\nfn a() {\n    // Why.\n    b();\n}\n"), 3);
}

#[test]
fn the_examples_stay_small() {
    for (example, max) in LINES_MAX {
        let path = source(example);
        if example == "inventory" && !path.exists() {
            continue;
        }
        let code = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let counted = lines(&code);
        assert!(counted <= max, "{example} has {counted} lines, more than {max}");
        for hidden in ["macro_rules", "include!", "/*"] {
            assert!(!code.contains(hidden), "{example} hides lines with {hidden}");
        }
        let formatted = Command::new("rustfmt").args(["--check", "--edition", "2024"]).arg(&path).output();
        let formatted = formatted.expect("rustfmt runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));
    }
}
