//! The fast way to open an event is taken for all that we write, and finds what the parser finds. With the shop, since it
//! holds of every type that is published, by its samples.

use std::collections::BTreeSet;

use daybook_event::envelope::{self, seal};
use daybook_event::event_data::{EventData, Opened, open_canonical};
use proptest::prelude::*;
use schemas::ShopEvent;

use crate::files::{newest_types, sample_at, samples};
use crate::random::{apply, edit};
use crate::random_events::sealable;

/// Opens `value` both ways, if the fast one takes it.
#[track_caller]
pub(crate) fn open_both_ways(value: &[u8]) -> Option<Opened<'_, ShopEvent>> {
    let fast = open_canonical::<ShopEvent>(value)?;
    let envelope = envelope::open(Some(value), || panic!("headers")).unwrap();
    let slow = Opened {
        writer_epoch: envelope.writer_epoch,
        previous_id: envelope.previous_id,
        event: ShopEvent::from_data(&envelope.event_type, &envelope.data).unwrap(),
        id: envelope.id,
        source: envelope.source,
        position: envelope.position,
        time: envelope.time,
        aggregate_version: envelope.aggregate_version,
    };
    assert_eq!(fast, slow, "{}", String::from_utf8_lossy(value));
    Some(fast)
}

#[test]
fn samples_of_newest_types_without_escapes_are_canonical_and_no_others() {
    let mut seen = BTreeSet::new();
    for sample in samples() {
        let newest = newest_types().into_iter().find(|newest| *newest == sample.event_type);
        let opened = open_both_ways(&sample.value);
        let expected = newest.is_some() && !sample.value.contains(&b'\\');
        assert_eq!(opened.is_some(), expected, "{}", sample.path);
        seen.extend(newest.filter(|_| expected));
    }
    assert_eq!(seen, newest_types().into_iter().collect());
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_sealed_event_is_canonical_unless_a_text_needs_escapes((envelope, event) in sealable()) {
        let sealed = seal(&envelope).unwrap();
        let opened = open_both_ways(&sealed);
        prop_assert_eq!(opened.is_some(), !sealed.contains(&b'\\'));
        if let Some(opened) = opened {
            prop_assert_eq!(opened.event, event);
            prop_assert_eq!(opened.time, envelope.time);
            prop_assert_eq!(opened.position, envelope.position);
        }
    }

    #[test]
    fn an_edited_event_that_is_still_canonical_is_what_the_parser_finds(
        (envelope, _) in sealable(),
        edits in prop::collection::vec(edit(), 1..4),
    ) {
        let mut value = seal(&envelope).unwrap();
        edits.iter().for_each(|edit| apply(&mut value, edit));
        open_both_ways(&value);
    }
}

/// Samples with all attributes, one of each service.
const TRACED: [&str; 3] = [
    "samples/shop.user.signed-up.v1/korean-traced.json",
    "samples/shop.product.changed.v2/price-removed.json",
    "samples/shop.order.placed.v2/dozen-traced.json",
];

#[test]
fn an_event_with_repeated_members_is_not_canonical() {
    for value in TRACED.map(|path| sample_at(path).value) {
        let commas: Vec<_> = (0..value.len()).filter(|at| value[*at] == b',').collect();
        for (from, to) in commas.iter().flat_map(|from| commas.iter().map(move |to| (*from, *to))) {
            for at in commas.iter().filter(|_| from < to) {
                let repeated = [&value[..*at], &value[from..to], &value[*at..]].concat();
                assert_eq!(open_both_ways(&repeated), None, "{}", String::from_utf8_lossy(&repeated));
            }
        }
    }
}

/// Calls `check` with every text that differs from `value` in one byte, set, inserted or removed.
fn each_neighbour(value: &[u8], mut check: impl FnMut(&[u8])) {
    for at in 0..value.len() {
        let mut other = value.to_vec();
        for byte in 0..=u8::MAX {
            other[at] = byte;
            check(&other);
        }
        other[at] = value[at];
        check(&other[..at]);
        other.insert(at, 0);
        for byte in 0..=u8::MAX {
            other[at] = byte;
            check(&other);
        }
        other.drain(at..at + 2);
        check(&other);
    }
}

#[test]
fn every_event_one_byte_away_that_is_canonical_is_what_the_parser_finds() {
    let mut canonical = 0;
    for path in TRACED {
        each_neighbour(&sample_at(path).value, |other| {
            canonical += usize::from(open_both_ways(other).is_some());
        });
    }
    assert!(canonical > 10_000, "{canonical}");
}
