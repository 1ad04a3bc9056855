//! Whatever is wrong with an envelope, the error names the attribute and says what was expected.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daybook_event::envelope::{self, OpenError};
use serde_json::{Value, json};

use crate::sample::LETTER;

const REQUIRED: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "sequence",
    "aggregateversion",
    "correlationid",
    "causationid",
    "data",
];

fn error_of(value: &[u8]) -> OpenError {
    envelope::open(Some(value), Vec::new).unwrap_err()
}

/// The sample with one attribute set, or removed.
fn edited(attribute: &str, value: Option<Value>) -> Vec<u8> {
    let mut event: Value = serde_json::from_str(LETTER).unwrap();
    assert!(event.get(attribute).is_some());
    match value {
        Some(value) => event[attribute] = value,
        None => _ = event.as_object_mut().unwrap().remove(attribute),
    }
    serde_json::to_vec(&event).unwrap()
}

#[track_caller]
fn check(attribute: &str, value: Value, message: &str) {
    let error = error_of(&edited(attribute, Some(value)));
    assert!(matches!(&error, OpenError::Malformed { attribute: named, .. } if named == attribute));
    assert_eq!(error.to_string(), message);
}

#[test]
fn each_missing_attribute_is_named() {
    for attribute in REQUIRED {
        let missing = OpenError::Missing { attribute };
        assert_eq!(error_of(&edited(attribute, None)), missing);
        assert_eq!(error_of(&edited(attribute, Some(Value::Null))), missing, "null is absent");
        assert_eq!(missing.to_string(), format!("attribute `{attribute}` is missing"));
    }
}

#[test]
fn attributes_that_may_be_absent_may() {
    for attribute in ["traceparent", "datacontenttype"] {
        envelope::open(Some(&edited(attribute, None)), Vec::new).unwrap();
    }
}

#[test]
fn unknown_attributes_are_ignored() {
    let value = LETTER.replacen('{', r#"{"tenant":{"a":[1]},"ssn":7,"ssn":"twice","#, 1);
    envelope::open(Some(value.as_bytes()), Vec::new).unwrap();
}

#[test]
fn each_attribute_of_the_wrong_type_is_named() {
    for attribute in REQUIRED.into_iter().filter(|name| !["data", "aggregateversion"].contains(name)) {
        check(attribute, json!(5), &format!("attribute `{attribute}` is integer `5`, expected a string"));
        check(attribute, json!({}), &format!("attribute `{attribute}` is map, expected a string"));
    }
    check("traceparent", json!(true), "attribute `traceparent` is boolean `true`, expected a string");
    let expected = "expected a whole number from 1";
    for (value, found) in [
        (json!(-1), "integer `-1`"),
        (json!(1.5), "floating point `1.5`"),
        (json!("1, expected 2"), "`1, expected 2`"),
        (json!("0"), "`0`"),
        (json!("+1"), "`+1`"),
    ] {
        check("aggregateversion", value, &format!("attribute `aggregateversion` is {found}, {expected}"));
    }
}

/// Bridges from binary mode, where all attributes are text, write them so.
#[test]
fn numbers_as_decimal_digits_and_data_in_base_64_are_their_plain_forms() {
    let plain = envelope::open(Some(LETTER.as_bytes()), Vec::new).unwrap();
    let mut value: Value = serde_json::from_str(LETTER).unwrap();
    let version = plain.aggregate_version.to_string();
    value["aggregateversion"] = json!(version);
    value["writerepoch"] = json!("7");
    value.as_object_mut().unwrap().remove("data");
    value["data_base64"] = json!(STANDARD.encode(plain.data.get()));
    let text = value.to_string();
    let bridged = envelope::open(Some(text.as_bytes()), Vec::new).unwrap();
    assert_eq!((bridged.aggregate_version, bridged.writer_epoch), (plain.aggregate_version, 7));
    assert_eq!((bridged.id, bridged.data.get()), (plain.id, plain.data.get()));

    let not_base_64 = |found: &str| {
        let mut value = value.clone();
        value["data_base64"] = json!(found);
        error_of(value.to_string().as_bytes()).to_string()
    };
    assert_eq!(not_base_64("?"), "attribute `data_base64` is `?`, expected base 64");
    assert!(not_base_64(&STANDARD.encode("{")).ends_with("expected JSON in base 64"));
    value["data"] = json!({});
    assert!(error_of(value.to_string().as_bytes()).to_string().contains("because there is `data`"));
    value["writerepoch"] = json!("-7");
    assert!(error_of(value.to_string().as_bytes()).to_string().contains("`writerepoch` is `-7`"));
}

#[test]
fn a_link_to_the_event_before_is_an_id_or_is_not_there() {
    let linked = |link: &str| LETTER.replacen("\"id\":", &format!("\"previousid\":{link},\"id\":"), 1);
    for (link, found) in [("\"19\"", "`19`, expected a UUID"), ("true", "boolean `true`, expected a string")]
    {
        let said = format!("attribute `previousid` is {found}");
        assert_eq!(error_of(linked(link).as_bytes()).to_string(), said);
    }
    let opened = |value: &str| envelope::open(Some(value.as_bytes()), Vec::new).unwrap().previous_id;
    assert_eq!((opened(LETTER), opened(&linked("null"))), (None, None));
    assert!(opened(&linked("\"019cada0-37f8-703c-9d9a-eb4134c2da80\"")).is_some());
}

#[test]
fn each_malformed_attribute_is_named() {
    for (attribute, value, expected) in [
        ("specversion", "1.1", "1.0"),
        ("id", "", "a UUID"),
        ("id", "019cada8-26d4-7b64-a41e-9c301012f03", "a UUID"),
        ("source", "/letters", "/service/partition"),
        ("source", "letters/3", "/service/partition"),
        ("source", "//3", "/service/partition"),
        ("source", "/letters/", "/service/partition"),
        ("source", "/letters/-1", "/service/partition"),
        ("source", "/letters/+1", "/service/partition"),
        ("source", "/letters/2147483648", "/service/partition"),
        ("subject", "jane", "a UUID"),
        ("time", "2026-03-02T08:29:06.171167", "a time as of RFC 3339"),
        ("time", "2026-03-02 08:29:06.171167Z", "a time as of RFC 3339"),
        ("time", "20260302T082906Z", "a time as of RFC 3339"),
        ("time", "2026-03-02T17:29:06+09:00[Asia/Seoul]", "a time as of RFC 3339"),
        ("time", "2026-02-30T08:29:06Z", "a time as of RFC 3339"),
        ("sequence", "17", "20 decimal digits with leading zeros"),
        ("sequence", "-0000000000000000017", "20 decimal digits with leading zeros"),
        ("sequence", "+0000000000000000017", "20 decimal digits with leading zeros"),
        ("sequence", "0000000000000000017 ", "20 decimal digits with leading zeros"),
        ("sequence", "000000000000000000017", "20 decimal digits with leading zeros"),
        ("sequence", "18446744073709551616", "20 decimal digits with leading zeros"),
        ("correlationid", "request 5", "a UUID"),
        ("causationid", "command 5", "a UUID"),
    ] {
        check(attribute, json!(value), &format!("attribute `{attribute}` is `{value}`, expected {expected}"));
    }
    check(
        "aggregateversion",
        json!(0),
        "attribute `aggregateversion` is `0`, expected a whole number from 1",
    );
}

#[test]
fn other_forms_of_rfc_3339_are_the_same_time() {
    let time = |text: &str| envelope::open(Some(&edited("time", Some(json!(text)))), Vec::new).unwrap().time;
    assert_eq!(time("2026-03-02T17:29:06.5+09:00"), time("2026-03-02t08:29:06.500000z"));
}

#[test]
fn the_largest_position_is_one() {
    let value = edited("sequence", Some(json!("18446744073709551615")));
    assert_eq!(envelope::open(Some(&value), Vec::new).unwrap().position, u64::MAX);
}

#[test]
fn an_attribute_given_twice_is_named() {
    for repeated in [r#""aggregateversion":2"#, r#""datacontenttype":"application/json","subject":"x""#] {
        let value = LETTER.replacen(r#""data":"#, &format!("{repeated},\"data\":"), 1);
        let error = error_of(value.as_bytes());
        let name = if repeated.contains("subject") { "subject" } else { "aggregateversion" };
        assert_eq!(error.to_string(), format!("attribute `{name}` is given twice, expected one value"));
    }
}

#[test]
fn a_wrong_attribute_after_the_data_is_named_too() {
    let value = r#"{"specversion":"1.0","data":{"user_id":[1,{"a":null}]},"id":[]}"#;
    assert_eq!(error_of(value.as_bytes()).to_string(), "attribute `id` is sequence, expected a string");
}

#[test]
fn errors_repeat_only_a_bounded_and_printable_part_of_the_value() {
    let long = format!("\n\u{1b}[31m{}", "가".repeat(1_000_000));
    let shown = format!("\\n\\u{{1b}}[31m{}…", "가".repeat(94));
    check("id", json!(long), &format!("attribute `id` is `{shown}`, expected a UUID"));
    let wrong_type = error_of(&edited("aggregateversion", Some(json!(long)))).to_string();
    let not_an_object = error_of(&serde_json::to_vec(&json!([long])).unwrap()).to_string();
    for message in [wrong_type, not_an_object] {
        assert!(message.len() < 600 && !message.contains(['\n', '\u{1b}']), "{message}");
    }
}
