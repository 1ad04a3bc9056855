//! Clients that are too many, too slow, or gone.

#![expect(clippy::unwrap_used, reason = "what the tests share is test code, too")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use daybook_service::{ConnectionLimits, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);
/// Far beyond every test.
const PATIENT: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);
/// What a request head may fill.
const BUFFER_BYTES: usize = 32 * 1024;
const ANSWER_BYTES: usize = 64 << 20;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

async fn start(open_max: usize, silence_max: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let large = || async { vec![b'x'; ANSWER_BYTES] };
    let router = Router::new().route("/", get(|| async { "here" })).route("/large", get(large));
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap() };
    let limits = ConnectionLimits { open_max, silence_max };
    Server { address, stop, serving: tokio::spawn(serve(listener, router, limits, stopped)) }
}

async fn connect(server: &Server, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

const GET: &str = "GET / HTTP/1.1\r\nhost: d\r\n\r\n";
const ANSWER: &str = "here";

/// Reads up to the end of one answer, which leaves the connection open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with(ANSWER) {
        let mut buffer = [0; 1_024];
        let count = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(count, 0, "closed after {text}");
        text += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    text
}

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is as good as an end.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_closes() {
    let server = start(2, PATIENT).await;
    let (mut first, mut second) = (connect(&server, GET).await, connect(&server, GET).await);
    answer(&mut first).await;
    answer(&mut second).await;
    let mut third = connect(&server, GET).await;
    // Those that are open are served while it waits.
    for _ in 0..100 {
        first.write_all(GET.as_bytes()).await.unwrap();
        answer(&mut first).await;
    }
    let mut nothing = [0; 1];
    assert!(third.try_read(&mut nothing).is_err(), "it was not to be accepted");
    drop(second);
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_head_is_let_go_and_another_served() {
    let server = start(1, SHORT).await;
    let mut slow = connect(&server, "GET / HTTP/1.1\r\nhost: ").await;
    let mut next = connect(&server, GET).await;
    assert!(answer(&mut next).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut slow).await, b"");
    // And so is one that keeps its connection for nothing.
    assert_eq!(rest(&mut next).await, b"");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_let_go_and_another_served() {
    let server = start(1, SHORT).await;
    let mut slow = connect(&server, "GET /large HTTP/1.1\r\nhost: d\r\n\r\n").await;
    let mut next = connect(&server, GET).await;
    assert!(answer(&mut next).await.starts_with("HTTP/1.1 200"));
    assert!(rest(&mut slow).await.len() < ANSWER_BYTES, "it was to be cut off");
}

#[tokio::test]
async fn a_request_head_that_fills_its_buffer_is_refused() {
    let server = start(1, PATIENT).await;
    let head = "GET / HTTP/1.1\r\nhost: d\r\nfiller: ";
    let mut endless = connect(&server, &format!("{head:x<BUFFER_BYTES$}")).await;
    assert!(rest(&mut endless).await.starts_with(b"HTTP/1.1 431"));
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_ends() {
    let server = start(2, PATIENT).await;
    let mut idle = connect(&server, GET).await;
    answer(&mut idle).await;
    server.stop.send(()).unwrap();
    timeout(DEADLINE, server.serving).await.unwrap().unwrap();
    assert_eq!(rest(&mut idle).await, b"");
}
