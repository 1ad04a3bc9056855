//! The one `Host` that a request names, in the form that RFC 9112 asks for.

use std::net::Ipv6Addr;

use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Version, header};
use axum::response::{IntoResponse, Response};

use super::answer::ApiError;

/// Refuses a request without the one `Host` that HTTP/1.1 asks for, and any request whose `Host` has no valid value
/// (RFC 9112, 3.2).
pub(crate) fn refused_host<B>(request: &Request<B>) -> Option<Response> {
    let refused = |detail| Some(ApiError::header("host", detail).into_response());
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() != Version::HTTP_11 => None,
        (Some(host), None) if is_host(host) => None,
        (Some(_), None) => refused("the Host header is no host with an optional port"),
        _ => refused("a request needs one Host header"),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2). It is empty for a target without an authority.
fn is_host(value: &HeaderValue) -> bool {
    let is_authority = |authority: Authority| {
        // Whatever stands before the host names a user.
        let behind = authority.as_str().strip_prefix(authority.host());
        let port = behind.map(|behind| behind.strip_prefix(':').unwrap_or(behind));
        let literal = authority.host().strip_prefix('[').map(|literal| literal.trim_end_matches(']'));
        port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
            && literal.is_none_or(|literal| literal.parse::<Ipv6Addr>().is_ok())
    };
    value.is_empty() || Authority::try_from(value.as_bytes()).is_ok_and(is_authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, hosts: &[&[u8]]) -> Option<u16> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        refused_host(&request).map(|refused| refused.status().as_u16())
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for host in [
            "",
            "d",
            "d:",
            "example.org",
            "Example.ORG:65535",
            "127.0.0.1:8080",
            "a_b~c",
            "a,b",
            "[::1]",
            "[::ffff:127.0.0.1]:8080",
        ] {
            assert_eq!(status(Version::HTTP_11, &[host.as_bytes()]), None, "{host}");
        }
        for host in [
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "user@example.org",
            "a@10.0.0.12",
            "@127.0.0.1",
            "a\\b",
            "a\"b",
            "<d>",
            "a%",
            "a%2",
            "a%zz",
            "d:80a",
            "d:8:0",
            "d:-1",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1]x",
            "[::1%lo]",
            "[1.2.3.4]",
            "[v1]",
            "[v.a]",
            "[vg.a]",
            "http://d",
            "\u{e4}",
        ] {
            assert_eq!(status(Version::HTTP_11, &[host.as_bytes()]), Some(400), "{host}");
        }
        assert_eq!(status(Version::HTTP_11, &[b"d\xff"]), Some(400));
    }

    #[test]
    fn one_host_is_needed_by_http_1_1_and_a_wrong_one_by_none() {
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        assert_eq!(status(Version::HTTP_11, &[b"d", b"d"]), Some(400));
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_10, &[b"a b"]), Some(400));
        assert_eq!(status(Version::HTTP_10, &[b"d", b"d"]), Some(400));
    }
}
