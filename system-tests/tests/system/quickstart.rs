//! What a newcomer's first command shows.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use system_tests::{binaries, process, wait};

#[test]
fn the_first_command_tells_the_story_and_serves_until_interrupted() {
    let mut daybook = Command::new(binaries::path("daybook"));
    let daybook = daybook.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = daybook.spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let mut shown = String::new();
    while !shown.contains("Serving until Ctrl-C") {
        shown.push_str(
            &lines.recv_timeout(wait::DEADLINE).unwrap_or_else(|_| panic!("it went silent after:\n{shown}")),
        );
        shown.push('\n');
    }
    for words in ["sandbox", "shop.user.signed-up.v1", "pants.jpg", "same answer: yes", "same digest: yes"] {
        assert!(shown.contains(words), "`{words}` is missing in:\n{shown}");
    }
    process::signal(&child, libc::SIGINT);
    let status = wait::until("it stops after Ctrl-C", || child.try_wait().expect("a child of ours"));
    assert_eq!(status.code(), Some(0));
}
