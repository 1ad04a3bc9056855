//! What helps where no file can be opened because too many are.

/// What the system says of a process that has as many files open as it may, and of one that may have more while the system may not:
/// as `errno`, and as Rust shows it in a message and in a debug text. sled hands on a text alone.
const OF_THE_PROCESS: [&str; 2] = ["os error 24)", "code: 24,"];
const OF_THE_SYSTEM: [&str; 2] = ["os error 23)", "code: 23,"];

/// What helps, if `said`, an error as text, comes of too many open files: nothing is wrong with the file that was to be opened then.
pub fn too_many_files(said: &str) -> Option<&'static str> {
    let is_one_of = |signs: [&str; 2]| signs.iter().any(|sign| said.contains(sign));
    if is_one_of(OF_THE_PROCESS) {
        return Some(
            "this process has reached its limit of open files: raise it (`ulimit -n`, LimitNOFILE of a systemd unit, `--ulimit nofile` of Docker)",
        );
    }
    is_one_of(OF_THE_SYSTEM)
        .then_some("the system has reached its limit of open files: raise it (`sysctl fs.file-max`)")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_limit_that_was_reached_is_named_and_nothing_else_is_taken_for_one() {
        for (code, helps) in [(24, "ulimit -n"), (23, "fs.file-max")] {
            let error = io::Error::from_raw_os_error(code);
            for said in [error.to_string(), format!("{error:?}")] {
                assert!(too_many_files(&said).is_some_and(|remedy| remedy.contains(helps)), "{said}");
            }
        }
        for other in [2, 13, 28, 124, 240] {
            let error = io::Error::from_raw_os_error(other);
            assert_eq!(too_many_files(&format!("{error} {error:?}")), None);
        }
    }
}
