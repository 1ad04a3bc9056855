//! A journal under load, as a process that is recorded and killed: `journal-load DIRECTORY NOTES LIFE GROUPS`.
#![allow(clippy::expect_used)]

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, notes, life, groups] = &arguments[..] else {
        panic!("four arguments, not {arguments:?}")
    };
    let number = |text: &str| text.parse().expect("a number");
    system_tests::power_cut::journal_load::live(
        Path::new(directory),
        Path::new(notes),
        number(life),
        number(groups),
    );
}
