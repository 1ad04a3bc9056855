//! The program: exit codes, what it says, and an orderly end.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use daybook_projection::{Generation, ReadModel, ReplayOptions, replay};
use daybook_service::Stop;
use tempfile::TempDir;

use crate::events::signed_up;
use crate::log::{Log, PARTITIONS};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks at a program.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn program(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query-api"));
    command.env_clear().arg("--data-dir").arg(directory.path().join("read-model")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn on(log: &Log) -> Vec<String> {
    let partitions = PARTITIONS.to_string();
    let arguments = ["--brokers", &log.kafka().brokers, "--partitions", &partitions, "--embedded-broker"];
    arguments.map(str::to_owned).to_vec()
}

#[track_caller]
fn ended(output: &Output, code: i32, sentences: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    sentences.iter().for_each(|sentence| assert!(said.contains(sentence), "{sentence} is not in: {said}"));
    assert!(output.stdout.is_empty(), "only results belong on stdout");
}

/// A program that is killed when its test fails.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(directory: &TempDir, log: &Log, listen: SocketAddr) -> Running {
    start_with(directory, log, listen, &[])
}

pub(crate) fn start_with(directory: &TempDir, log: &Log, listen: SocketAddr, flags: &[&str]) -> Running {
    let mut command = program(directory, &["--listen", &listen.to_string()]);
    command.args(flags).args(on(log)).stderr(Stdio::null());
    started(command, directory, listen)
}

fn started(mut command: Command, directory: &TempDir, listen: SocketAddr) -> Running {
    let running = Running(command.spawn().unwrap());
    let began = Instant::now();
    while !is_alive(directory, listen) {
        assert!(began.elapsed() < DEADLINE, "it does not answer");
        thread::sleep(LOOK_AGAIN);
    }
    running
}

fn is_alive(directory: &TempDir, listen: SocketAddr) -> bool {
    let mut command = program(directory, &["--health-check", "--listen", &listen.to_string()]);
    command.output().unwrap().status.code() == Some(0)
}

#[test]
fn wrong_settings_are_told_together_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = ["--listen", "nowhere", "--brokers", "kafka", "--wait-ms-max", "99999999"];
    let output = program(&directory, &wrong).output().unwrap();
    ended(&output, 2, &["--listen", "--brokers", "--wait-ms-max"]);
    ended(&program(&directory, &["--no-such-flag"]).output().unwrap(), 2, &["--no-such-flag"]);
    assert!(!directory.path().join("read-model").exists());
}

#[test]
fn a_foreign_file_in_the_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("read-model")).unwrap();
    fs::write(directory.path().join("read-model/holiday.jpg"), "").unwrap();
    let output = program(&directory, &["--listen", "127.0.0.1:0"]).output().unwrap();
    ended(&output, 1, &["holiday.jpg", "--data-dir"]);
}

#[test]
fn without_a_broker_and_without_a_read_model_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--brokers", "127.0.0.1:1", "--start-timeout-ms", "200"];
    ended(&program(&directory, &arguments).output().unwrap(), 1, &["127.0.0.1:1", "--brokers"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    ended(&program(&directory, &["--listen", &address]).output().unwrap(), 1, &[&address, "--listen"]);
}

#[test]
fn a_health_check_of_nobody_fails() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--health-check", "--listen", "127.0.0.1:1"];
    ended(&program(&directory, &arguments).output().unwrap(), 1, &["127.0.0.1:1"]);
}

#[test]
fn a_second_program_on_the_same_read_model_exits_3_and_names_the_first() {
    let (directory, log) = (tempfile::tempdir().unwrap(), Log::start());
    log.write(&signed_up(1));
    let listen = free_address();
    let first = start(&directory, &log, listen);
    let mut second = program(&directory, &["--listen", "127.0.0.1:0"]);
    let output = second.args(on(&log)).output().unwrap();
    ended(&output, 3, &[&format!("query-api at {listen}, pid {}", first.0.id())]);
}

#[cfg(unix)]
#[test]
fn it_ends_in_order_when_asked_to() {
    let (directory, log) = (tempfile::tempdir().unwrap(), Log::start());
    let mut running = start(&directory, &log, free_address());
    assert_eq!(terminated(&mut running), Some(0));
}

#[cfg(unix)]
fn terminated(running: &mut Running) -> Option<i32> {
    let asked = Command::new("kill").arg(running.0.id().to_string()).status().unwrap();
    assert!(asked.success());
    let began = Instant::now();
    loop {
        if let Some(ended) = running.0.try_wait().unwrap() {
            return ended.code();
        }
        assert!(began.elapsed() < DEADLINE, "it does not end");
        thread::sleep(LOOK_AGAIN);
    }
}

/// It is alive before it has opened anything, and an opening is no reason to be killed.
#[cfg(unix)]
#[test]
fn it_ends_in_order_while_its_generation_cannot_be_opened_yet() {
    let (directory, log) = (tempfile::tempdir().unwrap(), Log::start());
    let data_dir = published(&directory, &log);
    let layout = projector::layout();
    let looking = Generation::open(&data_dir.join("gen-000001"), &layout, "projector, pid 12").unwrap();
    let mut running = start(&directory, &log, free_address());
    assert_eq!(terminated(&mut running), Some(0));
    drop(looking);
}

/// A read model in which a generation is published.
fn published(directory: &TempDir, log: &Log) -> PathBuf {
    log.write(&signed_up(1));
    let data_dir = directory.path().join("read-model");
    let read_model = ReadModel::open(&data_dir).unwrap();
    let options = ReplayOptions::new(PARTITIONS, "a test".to_owned());
    let never = Stop::default();
    replay(&log.kafka(), &read_model, projector::projection(), &options, |_| {}, &never).unwrap();
    data_dir
}

/// A pipe that gives nothing stands for a file on a disk that does not answer.
#[cfg(unix)]
#[test]
fn asked_to_end_it_waits_for_no_disk_that_does_not_answer() {
    let (directory, log) = (tempfile::tempdir().unwrap(), Log::start());
    let data_dir = published(&directory, &log);
    let listen = free_address();
    let mut command = program(&directory, &["--listen", &listen.to_string()]);
    command.args(on(&log));
    let mut running = started(command, &directory, listen);
    let pipe = data_dir.join("CURRENT.tmp");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(&pipe, data_dir.join("CURRENT")).unwrap();
    // Opened as soon as somebody reads from it.
    let (tell, reported) = mpsc::channel();
    thread::spawn(move || tell.send(File::options().write(true).open(data_dir.join("CURRENT")).unwrap()));
    let read_from = reported.recv_timeout(DEADLINE).unwrap();
    assert_eq!(terminated(&mut running), Some(1));
    drop(read_from);
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("loses nothing") && said.contains("disk of --data-dir"), "{said}");
}
