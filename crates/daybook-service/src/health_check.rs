//! `--health-check`: a service's own binary asks a running instance whether it lives, because a container image has no
//! other HTTP client.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Whether it lives.
pub const LIVE: &str = "/health/live";
/// Whether it does what it is there for.
pub const READY: &str = "/health/ready";
/// Longest wait for the connection, and for each part of the answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The status line is all that is looked at.
const STATUS_LINE_BYTES_MAX: u64 = 128;

/// Why an instance does not count as alive.
#[derive(Debug, thiserror::Error)]
pub enum HealthCheckError {
    #[error("nothing answers at {address}")]
    Unreachable { address: SocketAddr, source: io::Error },
    #[error("{address} answers `{status_line}`")]
    Unwell { address: SocketAddr, status_line: String },
}

/// Asks the instance that listens on `listen` for `path`, which is [`LIVE`] or [`READY`].
/// Errors: [`HealthCheckError`] if there is no answer of 200 in a few seconds.
pub fn check(listen: SocketAddr, path: &str) -> Result<(), HealthCheckError> {
    let address = reachable(listen);
    let status_line =
        ask(address, path).map_err(|source| HealthCheckError::Unreachable { address, source })?;
    if status_line.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(HealthCheckError::Unwell { address, status_line })
}

/// An instance that listens on all addresses is asked on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Formatted first: `write!` would send it in pieces, and an answer given before the last piece would reset us.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(STATUS_LINE_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    fn serve_once(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = BufReader::new(&stream).lines().map_while(Result::ok);
            assert!(
                request.take_while(|line| !line.is_empty()).any(|line| line.starts_with("GET /health/live "))
            );
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_200_counts_as_alive() {
        check(serve_once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), LIVE).unwrap();
        let unwell = check(serve_once("HTTP/1.1 503 Service Unavailable\r\n\r\n"), LIVE).unwrap_err();
        assert!(unwell.to_string().contains("503"), "{unwell}");
    }

    #[test]
    fn nobody_there_is_an_error_with_the_address() {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        assert!(check(free, LIVE).unwrap_err().to_string().contains(&free.to_string()));
    }

    #[test]
    fn an_instance_on_all_addresses_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:8080".parse().unwrap()), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(reachable("10.0.0.7:8080".parse().unwrap()), "10.0.0.7:8080".parse().unwrap());
    }
}
