//! One event as it lies in Kafka, in both content modes, and any event that can be sealed.

use std::borrow::Cow;

use daybook_event::envelope::EPOCH_MAX;
use daybook_event::envelope::{Envelope, Source, seal};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use uuid::Uuid;

/// Of a letter, with every attribute but a link and an epoch, and with escapes in its data.
pub(crate) const LETTER: &str = concat!(
    r#"{"specversion":"1.0","id":"019cadaa-c15e-7d81-8a02-c47f807da245","source":"/letters/3","#,
    r#""type":"post.letter.written.v2","subject":"019cad9f-08e1-7085-9ee2-4a5b6dcbac50","#,
    r#""time":"2026-03-02T08:29:34.942774Z","sequence":"00000000000000000017","aggregateversion":2,"#,
    r#""correlationid":"019cadaa-1722-710a-a569-3495a7298c66","#,
    r#""causationid":"019cada9-20ba-78c8-9be7-ee65735c076b","#,
    r#""traceparent":"00-e5f0307ec5a56d7e5dbbb7ce894deab4-507a25603d7c95f9-01","#,
    r#""datacontenttype":"application/json","#,
    r#""data":{"letter_id":"019cad9f-08e1-7085-9ee2-4a5b6dcbac50","pages":9,"to":"c:\\box 12\n\tdoor 🏠 \u0001"}}"#
);

/// The same in binary mode: the value of its record.
pub(crate) const LETTER_DATA: &str =
    r#"{"letter_id":"019cad9f-08e1-7085-9ee2-4a5b6dcbac50","pages":9,"to":"c:\\box 12\n\tdoor 🏠 \u0001"}"#;

/// And its headers, with some that are none of the event's.
pub(crate) fn letter_headers() -> Vec<(String, Vec<u8>)> {
    let headers = [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", "019cadaa-c15e-7d81-8a02-c47f807da245"),
        ("ce_source", "/letters/3"),
        ("ce_type", "post.letter.written.v2"),
        ("ce_subject", "019cad9f-08e1-7085-9ee2-4a5b6dcbac50"),
        ("ce_time", "2026-03-02T08:29:34.942774Z"),
        ("ce_sequence", "00000000000000000017"),
        ("ce_aggregateversion", "2"),
        ("ce_correlationid", "019cadaa-1722-710a-a569-3495a7298c66"),
        ("ce_causationid", "019cada9-20ba-78c8-9be7-ee65735c076b"),
        ("ce_traceparent", "00-e5f0307ec5a56d7e5dbbb7ce894deab4-507a25603d7c95f9-01"),
        ("ce_comexampleorigin", "partner"),
        ("x-unrelated", "1"),
    ];
    headers.map(|(name, value)| (name.to_owned(), value.into())).into()
}

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

prop_compose! {
    /// Any envelope, around any text.
    pub(crate) fn sealable()(
        data in any::<String>(),
        ids in (id(), id(), id(), id()),
        partition in 0..=i32::MAX,
        micros in 0..=253_402_207_199_999_999_i64,
        position in any::<u64>(),
        aggregate_version in 1..=u64::MAX,
        traceparent in any::<Option<String>>(),
        writer_epoch in 0..=EPOCH_MAX,
        previous_id in proptest::option::of(id()),
    ) -> Envelope<'static> {
        Envelope {
            writer_epoch,
            previous_id,
            id: ids.0,
            source: Source { service: Cow::Borrowed("letters"), partition },
            event_type: Cow::Borrowed("post.letter.written.v2"),
            subject: ids.1,
            time: Timestamp::from_microsecond(micros).unwrap(),
            position,
            aggregate_version,
            correlation_id: ids.2,
            causation_id: ids.3,
            traceparent: traceparent.filter(|text| !text.is_empty()).map(Cow::Owned),
            data: Cow::Owned(to_raw_value(&data).unwrap()),
        }
    }
}

#[test]
fn the_sample_is_as_we_seal_it() {
    let opened = daybook_event::envelope::open(Some(LETTER.as_bytes()), Vec::new).unwrap();
    assert_eq!(String::from_utf8(seal(&opened).unwrap()).unwrap(), LETTER);
}
