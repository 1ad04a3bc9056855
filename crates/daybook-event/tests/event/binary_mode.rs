//! An event in binary mode opens to the same as its twin in structured mode.

use daybook_event::envelope::{self, OpenError, seal};

use crate::sample::{LETTER, LETTER_DATA, letter_headers};

#[test]
fn the_sample_in_binary_mode_opens_to_the_same_as_its_twin() {
    let opened = envelope::open(Some(LETTER_DATA.as_bytes()), letter_headers).unwrap();
    assert_eq!(String::from_utf8(seal(&opened).unwrap()).unwrap(), LETTER);
}

#[test]
fn headers_are_not_asked_for_when_the_value_is_structured() {
    envelope::open(Some(LETTER.as_bytes()), || panic!("headers were asked for")).unwrap();
}

#[test]
fn headers_are_not_asked_for_when_a_structured_event_is_wrong() {
    let structured = r#"{"specversion":"1.0","id":5}"#.as_bytes();
    let error = envelope::open(Some(structured), || panic!("headers were asked for")).unwrap_err();
    assert_eq!(error.to_string(), "attribute `id` is integer `5`, expected a string");
}

#[test]
fn names_of_headers_may_be_in_upper_case() {
    let upper = letter_headers().into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
    let opened = envelope::open(Some(LETTER_DATA.as_bytes()), || upper).unwrap();
    assert_eq!(opened.event_type, "post.letter.written.v2");
}

#[test]
fn data_may_have_fields_called_like_attributes() {
    let opened = envelope::open(Some(br#"{"id":5,"time":[],"data":{}}"#), letter_headers).unwrap();
    assert_eq!(opened.data.get(), r#"{"id":5,"time":[],"data":{}}"#);
}

#[test]
fn data_need_not_be_an_object_for_the_envelope_to_open() {
    for data in ["5", "null", "[1]", "\"text\""] {
        let opened = envelope::open(Some(data.as_bytes()), letter_headers).unwrap();
        assert_eq!(opened.data.get(), data);
    }
}

#[test]
fn the_trace_may_be_absent() {
    let opened = envelope::open(Some(LETTER_DATA.as_bytes()), || with("ce_traceparent", None)).unwrap();
    assert_eq!(opened.traceparent, None);
}

/// The sample's headers with `name` set to `value`, or removed.
fn with(name: &str, value: Option<&[u8]>) -> Vec<(String, Vec<u8>)> {
    let mut headers = letter_headers();
    let at = headers.iter().position(|(found, _)| found == name).unwrap();
    headers.remove(at);
    headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    headers
}

fn error_with(name: &str, value: Option<&[u8]>) -> String {
    envelope::open(Some(LETTER_DATA.as_bytes()), || with(name, value)).unwrap_err().to_string()
}

#[test]
fn each_missing_attribute_is_named() {
    for attribute in [
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
    ] {
        let error = error_with(&format!("ce_{attribute}"), None);
        assert_eq!(error, format!("attribute `{attribute}` is missing"));
    }
}

#[test]
fn each_malformed_attribute_is_named() {
    for (attribute, value, expected) in [
        ("specversion", "0.3", "1.0"),
        ("id", "7", "a UUID"),
        ("source", "letters", "/service/partition"),
        ("subject", "", "a UUID"),
        ("time", "yesterday", "a time as of RFC 3339"),
        ("sequence", "17", "20 decimal digits with leading zeros"),
        ("aggregateversion", "0", "a whole number from 1"),
        ("aggregateversion", "+1", "a whole number from 1"),
        ("aggregateversion", "", "a whole number from 1"),
        ("correlationid", "-", "a UUID"),
        ("causationid", "-", "a UUID"),
    ] {
        let error = error_with(&format!("ce_{attribute}"), Some(value.as_bytes()));
        assert_eq!(error, format!("attribute `{attribute}` is `{value}`, expected {expected}"));
    }
}

#[test]
fn a_header_that_is_not_utf8_is_named() {
    let error = error_with("ce_type", Some(&[0xff]));
    assert_eq!(error, "attribute `type` is `\u{fffd}`, expected UTF-8");
}

#[test]
fn a_value_that_is_not_text_or_not_json_is_told() {
    let error = |value| envelope::open(Some(value), letter_headers).unwrap_err();
    assert_eq!(error(b"{\xff}"), OpenError::NotUtf8 { at: 1 });
    assert!(matches!(error(b"{"), OpenError::NotJson { .. }));
    assert!(matches!(error(b""), OpenError::NotJson { .. }));
}
