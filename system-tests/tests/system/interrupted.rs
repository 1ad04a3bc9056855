//! A campaign that is interrupted before anything of it runs says so, as one that is interrupted later does.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use system_tests::{process, wait};

/// What the campaign's `--help` says of one that could not be carried out.
const NOT_CARRIED_OUT: i32 = 4;

#[test]
fn a_campaign_that_is_interrupted_while_it_builds_was_not_carried_out() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (cargo, builds) = (directory.path().join("cargo"), directory.path().join("builds"));
        // It takes long, and ends at the signal, as Cargo does.
        let script = format!("#!/bin/sh\n: >'{}'\nexec sleep 600\n", builds.display());
        fs::write(&cargo, script).expect("a writable directory");
        fs::set_permissions(&cargo, Permissions::from_mode(0o755)).expect("a file of ours");
        let mut campaign = Command::new(env!("CARGO_BIN_EXE_campaign"));
        campaign.arg("--dir").arg(directory.path().join("campaign")).env("CARGO", &cargo).process_group(0);
        campaign.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut campaign = campaign.spawn().expect("it starts");
        wait::until("it builds, and knows what to do at a signal", || {
            (builds.exists() && catches(&campaign, signal)).then_some(())
        });
        process::signal_group(&campaign, signal);
        wait::until("it ends", || campaign.try_wait().expect("a child of ours"));
        let ended = campaign.wait_with_output().expect("a child of ours");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(NOT_CARRIED_OUT), "{said}");
        assert!(said.contains("not carried out: "), "{said}");
    }
}

/// Whether a process does something else at a signal than to end at once.
fn catches(child: &Child, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
