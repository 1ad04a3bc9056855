//! Flags, exit codes, and what a process says when it does not start.

use std::net::TcpListener;
use std::process::Command;

use tempfile::TempDir;

use crate::child::{Service, broker, users, users_on};

/// Runs a command that must end by itself; its exit code, and its stdout and stderr.
#[track_caller]
pub(crate) fn ends(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn all_wrong_settings_are_reported_together() {
    let dir = TempDir::new().unwrap();
    let mut command = users();
    command.args([
        "--listen",
        "here",
        "--answer-after",
        "lunch",
        "--partitions",
        "0",
        "--brokers",
        "nowhere",
    ]);
    command.args(["--log-format", "xml", "--kept-events-max=-1", "--request-timeout-ms", "soon"]);
    command.arg("--data-dir").arg(dir.path().join("data"));
    let (code, stdout, stderr) = ends(command);
    assert_eq!((code, &*stdout), (2, ""));
    for flag in [
        "--listen",
        "--answer-after",
        "--partitions",
        "--brokers",
        "--log-format",
        "--kept-events-max",
        "--request-timeout-ms",
    ] {
        assert!(stderr.lines().any(|line| line.starts_with(flag)), "{flag} in\n{stderr}");
    }
    assert!(!dir.path().join("data").exists(), "nothing was written");
}

#[test]
fn settings_that_contradict_each_other_are_refused_together() {
    let dir = TempDir::new().unwrap();
    let mut command = users();
    command.args(["--answer-after", "kafka", "--kafka-wait-ms-max", "2000", "--request-timeout-ms", "2000"]);
    command.args(["--idempotency-age-s-min", "61", "--idempotency-age-s-max", "60"]);
    command.arg("--data-dir").arg(dir.path().join("data"));
    let (code, _, stderr) = ends(command);
    assert_eq!(code, 2, "{stderr}");
    for said in [
        "--kafka-wait-ms-max: 2000 is not below --request-timeout-ms, which is 2000",
        "--idempotency-age-s-min: 61 is above --idempotency-age-s-max, which is 60",
    ] {
        assert!(stderr.lines().any(|line| line.starts_with(said)), "{said} in\n{stderr}");
    }
}

#[test]
fn an_unknown_flag_is_a_matter_of_usage() {
    let mut command = users();
    command.arg("--colour");
    assert_eq!(ends(command).0, 2);
}

#[test]
fn every_setting_is_a_flag_and_a_variable_and_stands_in_the_help() {
    let mut command = users();
    command.arg("--help");
    let (code, stdout, _) = ends(command);
    assert_eq!(code, 0);
    assert!(stdout.contains("127.0.0.1:8081") && stdout.contains("data/users"), "{stdout}");
    let flags: Vec<_> = stdout.lines().filter(|line| line.trim_start().starts_with("--")).collect();
    assert!(flags.len() > 15, "{stdout}");
    for flag in flags {
        let name = flag.trim_start().trim_start_matches('-').split([' ', '=']).next().unwrap();
        let variable = format!("[env: DAYBOOK_{}", name.to_uppercase().replace('-', "_"));
        // What is done once.
        let acts = ["health-check", "recover", "take-over", "adopt-cluster", "journal", "remove-old-stores"];
        assert!(acts.contains(&name) || stdout.contains(&variable), "{variable} in\n{stdout}");
    }
}

#[test]
fn what_is_done_once_is_no_variable() {
    let dir = TempDir::new().unwrap();
    let acts = ["RECOVER", "TAKE_OVER", "ADOPT_CLUSTER"];
    let mut command = users();
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.envs(acts.map(|act| (format!("DAYBOOK_{act}"), "true")));
    let (code, _, stderr) = ends(command);
    assert_eq!(code, 2, "{stderr}");
    for act in acts {
        let flag = format!("give --{} on the command line", act.to_lowercase().replace('_', "-"));
        assert!(
            stderr.contains(&format!("DAYBOOK_{act} is read no longer")) && stderr.contains(&flag),
            "{stderr}"
        );
    }
}

#[test]
fn an_unreachable_broker_is_named() {
    let dir = TempDir::new().unwrap();
    let mut command = users();
    command.args(["--brokers", "127.0.0.1:1", "--start-timeout-ms", "300", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir.path());
    let (code, stdout, stderr) = ends(command);
    assert_eq!((code, &*stdout), (1, ""));
    assert!(stderr.contains("no Kafka broker answers at 127.0.0.1:1"), "{stderr}");
    assert!(!dir.path().join("daybook.json").exists() && !dir.path().join("store").exists());
}

#[test]
fn a_directory_in_use_has_its_own_exit_code() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let first = Service::start(users_on(&broker, dir.path()));
    let (code, _, stderr) = ends(users_on(&broker, dir.path()));
    assert!(code == 3 && stderr.contains("in use by users, pid"), "{code} {stderr}");
    assert!(first.terminate().0.success());
}

#[test]
fn a_taken_address_and_an_unusable_directory_are_named() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = users();
    command.args(["--listen", &address]);
    let (code, _, stderr) = ends(command);
    assert!(code == 1 && stderr.contains(&address) && stderr.contains("--listen"), "{code} {stderr}");
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let (code, _, stderr) = ends(users_on(&broker, &file.join("below")));
    assert!(code == 1 && stderr.contains("--data-dir"), "{code} {stderr}");
}

#[test]
fn the_health_check_asks_whoever_listens() {
    let (broker, dir) = (broker(), TempDir::new().unwrap());
    let service = Service::start(users_on(&broker, dir.path()));
    let check = |address: &str| {
        let mut command = users();
        command.args(["--health-check", "--listen", address]);
        ends(command).0
    };
    assert_eq!(check(&service.address), 0);
    let address = service.address.clone();
    assert!(service.terminate().0.success());
    assert_eq!(check(&address), 1);
}
