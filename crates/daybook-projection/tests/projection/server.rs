//! A process that serves a read model, as far as its socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use serde_json::Value;

/// What ends it.
const END: &str = "/end";

/// Answers on the socket until it is ended.
pub(crate) struct Server {
    socket: PathBuf,
    answering: JoinHandle<Vec<String>>,
}

impl Server {
    /// `answer` gets the path and the body of each request.
    pub(crate) fn start(
        read_model: &Path,
        mut answer: impl FnMut(&str, &[u8]) -> Value + Send + 'static,
    ) -> Self {
        let socket = read_model.join("ADMIN");
        let listener = UnixListener::bind(&socket).unwrap();
        let answering = std::thread::spawn(move || {
            let mut asked = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                // In one piece, see the client.
                let mut request = vec![0; 1 << 20];
                let length = stream.read(&mut request).unwrap();
                let request = &request[..length];
                let path = String::from_utf8_lossy(request).split(' ').nth(1).unwrap().to_owned();
                if path == END {
                    return asked;
                }
                let body_at = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                let body = answer(&path, &request[body_at..]);
                stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).unwrap();
                asked.push(path);
            }
        });
        Self { socket, answering }
    }

    /// The paths that were asked for.
    pub(crate) fn end(self) -> Vec<String> {
        UnixStream::connect(self.socket).unwrap().write_all(format!("POST {END} ").as_bytes()).unwrap();
        self.answering.join().unwrap()
    }
}
