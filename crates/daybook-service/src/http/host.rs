//! The one `Host` that a request names, in the form that RFC 9112 asks for.

use std::net::Ipv6Addr;

use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};

use super::answer::ApiError;
use super::guard::without_host;

/// Refuses a request without the one `Host` that HTTP/1.1 asks for, and any request whose `Host` has no valid value
/// (RFC 9112, 3.2).
pub(crate) fn refused_host<B>(request: &Request<B>) -> Option<Response> {
    let is_wrong = |value: &HeaderValue| !is_host(value.as_bytes());
    let malformed =
        || ApiError::header("host", "the Host header is no host with an optional port").into_response();
    without_host(request)
        .or_else(|| request.headers().get_all(header::HOST).iter().any(is_wrong).then(malformed))
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2). The host may be empty, for a target without an authority.
fn is_host(value: &[u8]) -> bool {
    let (host_is_valid, behind) = match value {
        [b'[', literal @ ..] => {
            let end = literal.iter().position(|byte| *byte == b']');
            let Some((literal, behind)) = end.and_then(|end| literal.split_at_checked(end)) else {
                return false;
            };
            (is_ip_literal(literal), &behind[1..])
        }
        _ => {
            let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
            let (name, behind) = value.split_at(end);
            (is_name(name), behind)
        }
    };
    host_is_valid
        && behind.strip_prefix(b":").map_or(behind.is_empty(), |port| port.iter().all(u8::is_ascii_digit))
}

/// What may stand between brackets: an IPv6 address, or an address of a later version (RFC 3986, 3.2.2).
fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', later @ ..] = literal {
        let mut parts = later.splitn(2, |byte| *byte == b'.');
        let is_of = |part: Option<&[u8]>, may_have: fn(&u8) -> bool| {
            part.is_some_and(|part| !part.is_empty() && part.iter().all(may_have))
        };
        return is_of(parts.next(), u8::is_ascii_hexdigit)
            && is_of(parts.next(), |byte| *byte == b':' || is_plain(*byte));
    }
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// A registered name; an IPv4 address is one by its characters.
fn is_name(mut name: &[u8]) -> bool {
    loop {
        name = match name {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [plain, rest @ ..] if is_plain(*plain) => rest,
            _ => return false,
        }
    }
}

/// Unreserved characters and sub-delimiters of RFC 3986.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use axum::http::Version;

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
            ":8080",
            "d",
            "d:",
            "example.org",
            "Example.ORG:65535",
            "127.0.0.1:8080",
            "a_b~c",
            "caf%C3%A9",
            "a,b",
            "[::1]",
            "[::ffff:127.0.0.1]:8080",
            "[v1.a:b]",
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
    }
}
