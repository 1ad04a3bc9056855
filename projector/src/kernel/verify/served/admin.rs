//! Asks the process that serves a read model, on the socket in its directory.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{HoldError, socket_path};
use crate::kernel::read_model::ADMIN_SOCKET;

/// How long one answer may take: it may mean to read all rows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Largest answer: some thousand rows.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Asks one process.
#[derive(Debug, Clone)]
pub struct Client {
    directory: PathBuf,
    holder: String,
}

impl Client {
    pub(super) fn new(directory: &Path, holder: String) -> Self {
        Self { directory: directory.to_owned(), holder }
    }

    /// Posts `body` and reads the answer, both JSON.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, HoldError> {
        let answer = self.exchange(path, body).and_then(|answer| read(&answer));
        answer.map_err(|error| HoldError::Silent {
            holder: self.holder.clone(),
            socket: self.directory.join(ADMIN_SOCKET),
            detail: error.to_string(),
        })
    }

    fn exchange(&self, path: &str, body: &impl Serialize) -> io::Result<Vec<u8>> {
        let body = serde_json::to_vec(body)?;
        let (_open, socket) = socket_path(&self.directory)?;
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        // Of HTTP 1.0, so that the answer ends with the connection.
        write!(
            stream,
            "POST {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> io::Result<T> {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let head_bytes = answer.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE);
    let head_bytes = head_bytes.ok_or_else(|| io::Error::other("it closed the connection"))?;
    let body = &answer[head_bytes + BLANK_LINE.len()..];
    let status = String::from_utf8_lossy(&answer[..head_bytes]);
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(String::from_utf8_lossy(body).trim().to_owned()));
    }
    serde_json::from_slice(body).map_err(io::Error::from)
}
