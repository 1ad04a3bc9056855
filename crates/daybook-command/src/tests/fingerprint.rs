//! What makes two requests one.

use crate::commit::idempotency::{IdempotencyKey, RequestParts};

const REQUEST: RequestParts<'_> =
    RequestParts { method: "PATCH", path: "/toys/1", condition: b"\"3\"", body: b"" };

fn key(request: &RequestParts<'_>) -> IdempotencyKey {
    IdempotencyKey::new("k", "k", request)
}

fn of(body: &str) -> [u8; 16] {
    key(&RequestParts { body: body.as_bytes(), ..REQUEST }).fingerprint
}

#[test]
fn bodies_of_one_json_value_have_one_fingerprint() {
    for bodies in [
        &[r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ],\n\t\"a\":1 }"][..],
        &[r#"{"a":{"x":1,"y":2},"b":3}"#, r#"{"b":3,"a":{"y":2,"x":1}}"#],
        &[r#""é/\n""#, r#""\u00e9\/\u000a""#],
        &[r#""😀""#, r#""\ud83d\ude00""#],
        &["1", "1.0", "1e0", "10e-1", "1.000E+0"],
        &["0", "-0", "0.0", "-0e9"],
        &["-200", "-2e2"],
        &["0.5", "5e-1", "0.50"],
        &["18446744073709551616", "18446744073709551616.0"],
    ] {
        for body in &bodies[1..] {
            assert_eq!(of(bodies[0]), of(body), "{} and {body}", bodies[0]);
        }
    }
}

#[test]
fn other_requests_have_other_fingerprints() {
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "false",
        "true",
        "0",
        "1",
        "-1",
        "0.5",
        "1e300",
        "9007199254740993",
        "9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        r#""""#,
        r#""1""#,
        r#""a""#,
        r#""A""#,
        r#"["a"]"#,
        r#"["a","b"]"#,
        r#"["b","a"]"#,
        r#"["ab"]"#,
        r#"[["a"],"b"]"#,
        r#"{"a":"b"}"#,
        r#"{"b":"a"}"#,
        r#"{"a":null}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"a":"b","c":"d"}"#,
        "{",
        "{ ",
    ];
    let parts = [
        RequestParts { method: "POST", ..REQUEST },
        RequestParts { path: "/toys/2", ..REQUEST },
        RequestParts { condition: b"", ..REQUEST },
    ];
    let mut all: Vec<_> =
        bodies.into_iter().map(of).chain(parts.iter().map(|parts| key(parts).fingerprint)).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// They are compared with what was kept a day ago, by an earlier program.
#[test]
fn fingerprints_stay_what_they_are() {
    let body = br#"{"b":[1.5,-7,"x"],"a":null}"#;
    let key = IdempotencyKey::new("k", "\"k\"", &RequestParts { body, ..REQUEST });
    let hex = |hash: [u8; 16]| format!("{:032x}", u128::from_be_bytes(hash));
    let hashes = [key.hash, key.fingerprint, key.before.hash, key.before.fingerprint].map(hex);
    let kept = [
        "5cbcb0cee824b91866cd67f57a6643dd",
        "5563e898a0b11dfbb14e2625462b3f28",
        "7242c3cdcb6c2c0228b20e64597432f3",
        "d2f62562da93479a6ca67e05a184f715",
    ];
    assert_eq!(hashes, kept);
}
