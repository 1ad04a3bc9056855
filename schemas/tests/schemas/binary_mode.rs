//! An event in binary mode opens to the same as its twin in structured mode.

use daybook_event::envelope::{self, OpenError, seal};
use daybook_event::event_data::open;
use schemas::ShopEvent;

use crate::files::{BinarySample, binary_samples, sample_at};

const SAMPLE: &str = "samples-binary/shop.user.changed.v1/escapes.json";

fn sample() -> BinarySample {
    binary_samples().remove(SAMPLE).unwrap()
}

#[test]
fn binary_samples_open_to_the_same_as_their_structured_twins() {
    for (path, sample) in binary_samples() {
        let twin = sample_at(&path.replace("samples-binary", "samples"));
        let value = Some(sample.value.as_bytes());
        let envelope = envelope::open(value, || sample.headers()).unwrap();
        assert_eq!(seal(&envelope).unwrap(), twin.value, "{path}");
        let opened = open::<ShopEvent>(value, || sample.headers()).unwrap();
        assert_eq!(opened, open(Some(&twin.value), Vec::new).unwrap(), "{path}");
    }
}

#[test]
fn headers_are_not_asked_for_when_the_value_is_structured() {
    let structured = sample_at("samples/shop.user.changed.v1/escapes.json").value;
    envelope::open(Some(&structured), || panic!("headers were asked for")).unwrap();
}

#[test]
fn headers_are_not_asked_for_when_a_structured_event_is_wrong() {
    let structured = r#"{"specversion":"1.0","id":5}"#.as_bytes();
    let error = envelope::open(Some(structured), || panic!("headers were asked for")).unwrap_err();
    assert_eq!(error.to_string(), "attribute `id` is integer `5`, expected a string");
}

#[test]
fn names_of_headers_may_be_in_upper_case() {
    let sample = sample();
    let upper = sample.headers().into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
    let opened = envelope::open(Some(sample.value.as_bytes()), || upper).unwrap();
    assert_eq!(opened.event_type, "shop.user.changed.v1");
}

#[test]
fn data_may_have_fields_called_like_attributes() {
    let headers = || sample().headers();
    let opened = envelope::open(Some(br#"{"id":5,"time":[],"data":{}}"#), headers).unwrap();
    assert_eq!(opened.data.get(), r#"{"id":5,"time":[],"data":{}}"#);
}

#[test]
fn data_need_not_be_an_object_for_the_envelope_to_open() {
    for data in ["5", "null", "[1]", "\"text\""] {
        let opened = envelope::open(Some(data.as_bytes()), || sample().headers()).unwrap();
        assert_eq!(opened.data.get(), data);
    }
}

#[test]
fn the_trace_may_be_absent() {
    let mut sample = sample();
    sample.headers.remove("ce_traceparent");
    assert!(
        envelope::open(Some(sample.value.as_bytes()), || sample.headers()).unwrap().traceparent.is_none()
    );
}

/// What is said of the sample with header `name` set to `value`, or removed.
fn error_with(name: &str, value: Option<&str>) -> String {
    let mut sample = sample();
    sample.headers.remove(name).unwrap();
    sample.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    envelope::open(Some(sample.value.as_bytes()), || sample.headers()).unwrap_err().to_string()
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
        ("source", "users", "/service/partition"),
        ("subject", "", "a UUID"),
        ("time", "yesterday", "a time as of RFC 3339"),
        ("sequence", "17", "20 decimal digits with leading zeros"),
        ("aggregateversion", "0", "a whole number from 1"),
        ("aggregateversion", "+1", "a whole number from 1"),
        ("aggregateversion", "", "a whole number from 1"),
        ("correlationid", "-", "a UUID"),
        ("causationid", "-", "a UUID"),
    ] {
        let error = error_with(&format!("ce_{attribute}"), Some(value));
        assert_eq!(error, format!("attribute `{attribute}` is `{value}`, expected {expected}"));
    }
}

#[test]
fn a_header_that_is_not_utf8_is_named() {
    let sample = sample();
    let headers = || {
        let headers = sample.headers().into_iter();
        headers
            .map(|(name, value)| if name == "ce_type" { (name, vec![0xff]) } else { (name, value) })
            .collect()
    };
    let error = envelope::open(Some(sample.value.as_bytes()), headers).unwrap_err();
    assert_eq!(error.to_string(), "attribute `type` is `\u{fffd}`, expected UTF-8");
}

#[test]
fn a_value_that_is_not_text_or_not_json_is_told() {
    let error = |value| envelope::open(Some(value), || sample().headers()).unwrap_err();
    assert_eq!(error(b"{\xff}"), OpenError::NotUtf8 { at: 1 });
    assert!(matches!(error(b"{"), OpenError::NotJson { .. }));
    assert!(matches!(error(b""), OpenError::NotJson { .. }));
}
