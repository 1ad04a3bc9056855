//! Asks the process that serves a read model, on the socket in its directory.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ServedError, Serves, socket_path};
use crate::read_model::ADMIN_SOCKET;

/// How long an answer may take that needs no disk.
const SERVES_TIMEOUT: Duration = Duration::from_secs(10);
/// How long another one may take: it may mean to read many rows, at low priority.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Largest answer: some thousand rows, of which one may be large.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

#[derive(Debug, Clone)]
pub struct Client {
    directory: PathBuf,
    holder: String,
}

impl Client {
    /// The process `holder`, which serves the read model in `directory`.
    pub fn new(directory: &Path, holder: String) -> Self {
        Self { directory: directory.to_owned(), holder }
    }

    /// What is kept in memory: nobody waits long for that.
    pub(super) fn ask_at_once<T: DeserializeOwned>(&self, path: &str) -> Result<T, ServedError> {
        self.ask_within(SERVES_TIMEOUT, path, &()).map_err(|error| self.silent(error.to_string()))
    }

    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ServedError> {
        self.ask_within(ANSWER_TIMEOUT, path, body).map_err(|error| self.silent(error.to_string()))
    }

    pub(in crate::verify) fn serves(&self) -> io::Result<Serves> {
        self.ask_within(SERVES_TIMEOUT, "/sample", &())
    }

    pub(super) fn silent(&self, detail: String) -> ServedError {
        ServedError::Silent { holder: self.holder.clone(), socket: self.directory.join(ADMIN_SOCKET), detail }
    }

    fn ask_within<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &str,
        body: &impl Serialize,
    ) -> io::Result<T> {
        read(&self.exchange(timeout, path, body)?)
    }

    fn exchange(&self, timeout: Duration, path: &str, body: &impl Serialize) -> io::Result<Vec<u8>> {
        let body = serde_json::to_vec(body)?;
        let (_open, socket) = socket_path(&self.directory)?;
        let mut stream = UnixStream::connect(socket).map_err(unanswered)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(&request(path, &body))?;
        let mut answer = Vec::new();
        let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        read.map_err(|error| late(error, timeout))?;
        Ok(answer)
    }
}

/// The process that serves makes its socket again within seconds, unless its whole directory was taken away.
fn unanswered(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{error}; if that lasts, restart that process"))
}

/// What the system calls a resource that is away for now is a process that does not answer.
fn late(error: io::Error, timeout: Duration) -> io::Error {
    if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return error;
    }
    let said =
        format!("no answer within {} s; is that process stopped, or does its disk hang?", timeout.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, said)
}

/// Of HTTP 1.0, so that the answer ends with the connection. In one piece: a process that answers without reading the body may
/// have closed the connection before a second piece is sent.
fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> io::Result<T> {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let head_bytes = answer.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE);
    let head_bytes = head_bytes.ok_or_else(|| io::Error::other("it closed the connection"))?;
    let body = &answer[head_bytes + BLANK_LINE.len()..];
    let status = String::from_utf8_lossy(&answer[..head_bytes]);
    let code = status.split(' ').nth(1);
    if code == Some("404") {
        return Err(io::Error::other("it does not know what it was asked; is it of another version?"));
    }
    if code != Some("200") {
        return Err(io::Error::other(String::from_utf8_lossy(body).trim().to_owned()));
    }
    serde_json::from_slice(body).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_request_comes_in_one_piece() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(ADMIN_SOCKET)).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut piece = [0; 1_024];
            let length = stream.read(&mut piece).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n7").unwrap();
            String::from_utf8(piece[..length].to_vec()).unwrap()
        });
        let answer: u32 = Client::new(directory.path(), "a test".to_owned()).ask("/sample", &()).unwrap();
        assert_eq!(answer, 7);
        let piece = answering.join().unwrap();
        assert!(piece.starts_with("POST /sample ") && piece.ends_with("\r\n\r\nnull"), "{piece}");
    }
}
