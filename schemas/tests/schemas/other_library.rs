//! A CloudEvents library of another author reads what we seal.

use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, Data, Event};
use daybook_event::envelope;

use crate::files::{json, samples};

#[test]
fn cloudevents_sdk_sees_every_attribute_and_the_data() {
    for sample in samples() {
        let ours = envelope::open(Some(&sample.value), Vec::new).unwrap();
        let sealed = envelope::seal(&ours).unwrap();
        let theirs: Event = serde_json::from_slice(&sealed).unwrap();

        assert_eq!(theirs.specversion().to_string(), "1.0");
        assert_eq!(theirs.id(), ours.id.to_string());
        assert_eq!(theirs.source(), &ours.source.to_string());
        assert_eq!(theirs.ty(), ours.event_type);
        assert_eq!(theirs.subject(), Some(ours.subject.to_string().as_str()));
        assert_eq!(theirs.time().unwrap().timestamp_micros(), ours.time.as_microsecond());
        assert_eq!(theirs.datacontenttype(), Some("application/json"));
        assert_eq!(theirs.data(), Some(&Data::Json(json(ours.data.get().as_bytes()))), "{}", sample.path);
    }
}

#[test]
fn cloudevents_sdk_sees_our_extensions_and_no_others() {
    for sample in samples() {
        let ours = envelope::open(Some(&sample.value), Vec::new).unwrap();
        let theirs: Event = serde_json::from_slice(&envelope::seal(&ours).unwrap()).unwrap();

        let mut expected = vec![
            ("aggregateversion", ExtensionValue::Integer(ours.aggregate_version.try_into().unwrap())),
            ("causationid", ExtensionValue::String(ours.causation_id.to_string())),
            ("correlationid", ExtensionValue::String(ours.correlation_id.to_string())),
            ("sequence", ExtensionValue::String(format!("{:020}", ours.position))),
        ];
        expected.extend(
            ours.traceparent.map(|trace| ("traceparent", ExtensionValue::String(trace.into_owned()))),
        );
        let epoch = i64::from(ours.writer_epoch);
        expected.extend((epoch > 0).then_some(("writerepoch", ExtensionValue::Integer(epoch))));
        expected.extend(ours.previous_id.map(|id| ("previousid", ExtensionValue::String(id.to_string()))));
        expected.sort_by_key(|(name, _)| *name);
        let mut seen =
            theirs.iter_extensions().map(|(name, value)| (name, value.clone())).collect::<Vec<_>>();
        seen.sort_by_key(|(name, _)| *name);
        assert_eq!(seen, expected, "{}", sample.path);
    }
}
