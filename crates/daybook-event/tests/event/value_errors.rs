//! What is said of a value that is no event at all.

use daybook_event::envelope::{self, OpenError};

use crate::sample::LETTER;

fn error_of(value: &[u8]) -> OpenError {
    envelope::open(Some(value), Vec::new).unwrap_err()
}

#[test]
fn a_record_without_value_is_told() {
    let error = envelope::open(None, || panic!("headers were asked for")).unwrap_err();
    assert_eq!(error, OpenError::NoValue);
    assert_eq!(error.to_string(), "the record has no value; a tombstone does not belong in an event topic");
}

#[test]
fn a_value_that_is_not_utf8_is_told_with_the_place() {
    let mut value = LETTER.as_bytes().to_vec();
    value[100] = 0xff;
    assert_eq!(error_of(&value).to_string(), "the value is not UTF-8 from byte 100 on");
}

#[test]
fn a_value_that_is_not_an_event_in_json_is_told() {
    let start = "the value is not an event in JSON: ";
    for (value, detail) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("hello", "expected value at line 1 column 1"),
        ("{\"specversion\":", "EOF while parsing a value at line 1 column 15"),
        (&format!("{LETTER} {{}}"), &format!("trailing characters at line 1 column {}", LETTER.len() + 2)),
        ("[\"1.0\"]", "an object was expected, found [\"1.0\"]"),
        (" 5 ", "an object was expected, found 5"),
        ("null", "an object was expected, found null"),
    ] {
        assert_eq!(error_of(value.as_bytes()).to_string(), format!("{start}{detail}"));
    }
}

#[test]
fn an_array_in_the_order_of_the_attributes_is_no_event() {
    let event: serde_json::Value = serde_json::from_str(LETTER).unwrap();
    let names = [
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
        "traceparent",
        "data",
    ];
    let array = names.iter().map(|name| event[name].clone()).collect::<Vec<_>>();
    let error = error_of(&serde_json::to_vec(&array).unwrap());
    assert!(matches!(error, OpenError::NotJson { .. }));
}

#[test]
fn json_without_specversion_is_no_structured_event() {
    for value in ["{}", r#"{"id":5}"#, r#"{"id":"a","id":"b"}"#] {
        assert_eq!(error_of(value.as_bytes()), OpenError::Missing { attribute: "specversion" });
    }
}
