//! The record with which a writer begins: as it is published here, and no event.

use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::Source;
use jiff::Timestamp;
use uuid::Uuid;

use crate::files::{samples, validator};

#[test]
fn a_claim_on_the_wire_stays_as_it_was_published() {
    let claim = Claim {
        id: Uuid::from_u128(7),
        source: Source { service: "users".into(), partition: 3 },
        epoch: 12,
        writer: Writer {
            instance: Uuid::from_u128(8),
            host: "shop-1".to_owned(),
            claimed_at: Timestamp::from_microsecond(1_772_441_841_372_534).unwrap(),
        },
    };
    let sealed = String::from_utf8(claim::seal(&claim).unwrap()).unwrap();
    let published = include_str!("../../samples-claims/daybook.writer.claimed.v1.json");
    assert_eq!(sealed, published.trim_end());
    assert_eq!(claim::open(Some(sealed.as_bytes())), Some(Ok(claim)));
    let schema = serde_json::from_str(include_str!("../../claim.schema.json")).unwrap();
    assert!(validator(&schema).is_valid(&serde_json::from_str(&sealed).unwrap()));
}

#[test]
fn no_published_event_is_a_claim() {
    for sample in samples() {
        assert_eq!(claim::open(Some(&sample.value)), None, "{}", sample.path);
    }
}
