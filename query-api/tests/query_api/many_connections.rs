//! Ten thousand clients that keep their connections.
//! With the shop, whose program is asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use crate::events::signed_up;
use crate::log::Log;
use crate::program::{free_address, start_with};

const CONNECTIONS: usize = 10_000;
/// Twice what was measured, and far below what a buffer for each would take.
const BYTES_EACH_MAX: usize = 32 * 1024;

#[test]
#[ignore = "needs 10,000 open files on both sides, and some seconds"]
fn ten_thousand_idle_connections_take_little_memory() {
    let limit = ["--pid", &std::process::id().to_string(), "--nofile=20000"];
    assert!(Command::new("prlimit").args(limit).status().unwrap().success(), "20,000 open files");
    let (directory, log) = (tempfile::tempdir().unwrap(), Log::start());
    log.write(&signed_up(1));
    let listen = free_address();
    let bounds = ["--connections-max", &CONNECTIONS.to_string(), "--silence-ms-max", "600000"];
    let service = start_with(&directory, &log, listen, &bounds);
    let before = resident_bytes(service.0.id());
    // One less: the health check of the start may not have gone yet.
    let mut clients: Vec<_> =
        (1..CONNECTIONS).map(|_| ask(TcpStream::connect(listen).unwrap(), listen)).collect();
    let each = (resident_bytes(service.0.id()) - before) / clients.len();
    println!("{each} bytes for each of {} idle connections, {before} before", clients.len());
    assert!(each < BYTES_EACH_MAX, "{each} bytes for each connection");
    // All of them are served again.
    clients = clients.into_iter().map(|client| ask(client, listen)).collect();
    drop(clients);
    ask(TcpStream::connect(listen).unwrap(), listen);
}

/// Sends a request and reads its answer.
fn ask(client: TcpStream, address: SocketAddr) -> TcpStream {
    let request = format!("GET /health/live HTTP/1.1\r\nhost: {address}\r\n\r\n");
    (&client).write_all(request.as_bytes()).unwrap();
    let mut answer = BufReader::new(&client);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        assert_ne!(answer.read_line(&mut line).unwrap(), 0, "closed");
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    answer.read_exact(&mut vec![0; length]).unwrap();
    drop(answer);
    client
}

fn resident_bytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
