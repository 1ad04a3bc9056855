//! Every sample is an event of its type as the schemas describe it, and every type has one.

use std::collections::BTreeSet;

use daybook_event::envelope::{self, seal};
use daybook_event::event_data::open;
use schemas::ShopEvent;

use crate::files::{binary_samples, data_schemas, envelope_schema, json, sample_at, samples, validator};

#[test]
fn every_sample_opens_and_validates() {
    let envelope = validator(&envelope_schema());
    let schemas = data_schemas();
    for sample in samples() {
        open::<ShopEvent>(Some(&sample.value), Vec::new).unwrap();
        let opened = envelope::open(Some(&sample.value), Vec::new).unwrap();
        assert_eq!(opened.event_type, sample.event_type, "{}", sample.path);

        let value = json(&sample.value);
        assert_eq!(envelope.validate(&value).map_err(|error| error.to_string()), Ok(()), "{}", sample.path);
        let data = validator(&schemas[&sample.event_type]);
        let verdict = data.validate(&value["data"]).map_err(|error| error.to_string());
        assert_eq!(verdict, Ok(()), "{}", sample.path);
    }
}

#[test]
fn every_published_type_has_a_sample() {
    let sampled: BTreeSet<_> = samples().into_iter().map(|sample| sample.event_type).collect();
    let published: BTreeSet<_> = data_schemas().into_keys().collect();
    assert_eq!(sampled, published);
}

#[test]
fn a_sample_is_one_line() {
    for sample in samples() {
        assert!(!sample.value.contains(&b'\n'), "{}", sample.path);
    }
}

#[test]
fn every_schema_leaves_room_for_what_is_not_known_yet() {
    let mut value = json(&samples().remove(0).value);
    value["unknownattribute"] = "ignored".into();
    assert!(validator(&envelope_schema()).is_valid(&value));
    for sample in samples() {
        let mut data = json(&sample.value)["data"].clone();
        data["unknown_field"] = "ignored".into();
        assert!(validator(&data_schemas()[&sample.event_type]).is_valid(&data), "{}", sample.path);
    }
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
fn the_data_of_binary_samples_validates() {
    let samples = binary_samples();
    assert!(!samples.is_empty());
    for (path, sample) in samples {
        let schema = &data_schemas()[&sample.headers["ce_type"]];
        let verdict = validator(schema).is_valid(&json(sample.value.as_bytes()));
        assert!(verdict, "{path}");
    }
}
