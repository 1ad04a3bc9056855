//! A load generator that costs little beside what it measures: keep-alive connections, one request in flight on each,
//! requests written as bytes, answers read by their content-length.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long the last answers may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Largest time that a histogram holds.
const ANSWER_US_MAX: u64 = 60_000_000;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Head of the answer, in lower case names as our services send them.
    pub(crate) head: String,
    /// Body of the answer.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Outcome<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_bytes = self.read_head().await?;
        let head = String::from_utf8_lossy(&self.buffer[..head_bytes]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut answer = Answer { status, head, body: Vec::new() };
        let length =
            answer.header("content-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        while self.buffer.len() < head_bytes + length {
            self.read_more().await?;
        }
        answer.body = self.buffer[head_bytes..].to_vec();
        Ok(answer)
    }

    async fn read_head(&mut self) -> Outcome<usize> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(at + 4);
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Outcome {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if read == 0 || self.buffer.len() > ANSWER_BYTES_MAX {
            return Err("the connection ended within an answer".into());
        }
        Ok(())
    }
}

/// A GET request.
pub(crate) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{headers}\r\n").into_bytes()
}

/// A POST request with a JSON body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// Times that are being taken.
#[derive(Debug)]
pub(crate) struct Times {
    us: Histogram<u64>,
    begun: Instant,
}

impl Times {
    /// From now on.
    pub(crate) fn begin() -> Outcome<Self> {
        Ok(Self { us: Histogram::new_with_bounds(1, ANSWER_US_MAX, 3)?, begun: Instant::now() })
    }

    /// One more answer.
    pub(crate) fn took(&mut self, time: Duration) {
        self.us.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Up to now.
    pub(crate) fn end(self) -> Load {
        Load { times_us: self.us, seconds: self.begun.elapsed().as_secs_f64() }
    }
}

/// What a load has come to.
#[derive(Debug)]
pub(crate) struct Load {
    times_us: Histogram<u64>,
    seconds: f64,
}

impl Load {
    /// Answers in all.
    pub(crate) fn answers(&self) -> u64 {
        self.times_us.len()
    }

    /// Answers per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.answers() as f64 / self.seconds
    }

    /// The time within which this share of all answers came, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.times_us.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Keeps `clients` connections busy for `seconds` and returns answers per second; `request(client, number)` makes each.
pub(crate) async fn rate<F>(
    address: SocketAddr,
    clients: usize,
    seconds: u64,
    status: u16,
    request: F,
) -> Outcome<f64>
where
    F: Fn(usize, u64) -> Vec<u8> + Send + Sync + 'static,
{
    Ok(run(address, clients, seconds, status, request).await?.per_second())
}

/// The same, with the time that each answer took.
pub(crate) async fn run<F>(
    address: SocketAddr,
    clients: usize,
    seconds: u64,
    status: u16,
    request: F,
) -> Outcome<Load>
where
    F: Fn(usize, u64) -> Vec<u8> + Send + Sync + 'static,
{
    let request = Arc::new(request);
    let mut all = Times::begin()?;
    let until = all.begun + Duration::from_secs(seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let request = Arc::clone(&request);
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut times = Times::begin()?;
            for number in 0.. {
                let sent = Instant::now();
                if sent >= until {
                    break;
                }
                let answer = connection.send(&request(client, number)).await?;
                if answer.status != status {
                    return Err(format!("{}: {}", answer.head, String::from_utf8_lossy(&answer.body)).into());
                }
                times.took(sent.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times.us)
        });
    }
    let last_answer = tokio::time::Instant::from_std(until + ANSWER_WITHIN);
    while let Some(ended) = tokio::time::timeout_at(last_answer, tasks.join_next()).await? {
        all.us.add(ended??)?;
    }
    Ok(all.end())
}
