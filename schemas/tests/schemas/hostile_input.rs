//! No bytes make opening or parsing panic, and what is accepted is understood: written again, it reads the same.

use daybook_event::envelope;
use daybook_event::event_data::open;
use schemas::ShopEvent;

use crate::files::{binary_samples, samples};
use crate::fuzz_checks;
use crate::random::{seeds, try_many};

const RECORDS: &str = "fuzz/seeds/record";

#[test]
fn any_value_is_an_event_or_refused() {
    try_many(seeds("schemas/samples"), fuzz_checks::event);
}

#[test]
fn any_record_in_binary_mode_is_an_event_or_refused() {
    try_many(seeds(RECORDS), fuzz_checks::record);
}

#[test]
fn any_text_is_a_token_or_refused() {
    try_many(seeds("fuzz/seeds/token"), fuzz_checks::token);
}

#[test]
fn the_seeds_of_records_are_the_samples_in_binary_mode() {
    let seeds = seeds(RECORDS);
    assert_eq!(seeds.len(), binary_samples().len());
    for seed in seeds {
        let (headers, value) = fuzz_checks::split(&seed);
        open::<ShopEvent>(Some(value), || headers).unwrap();
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = "[".repeat(1_000_000);
    let closed = format!("{deep}{}", "]".repeat(1_000_000));
    let sample = &samples()[0].value;
    let unknown = |nested: &str| {
        let sample = String::from_utf8(sample.clone()).unwrap();
        sample.replacen('{', &format!("{{\"unknown\":{nested},"), 1).into_bytes()
    };
    envelope::open(Some(&unknown(&closed)), Vec::new).unwrap();
    for value in [deep.clone().into_bytes(), closed.clone().into_bytes(), unknown(&deep)] {
        envelope::open(Some(&value), Vec::new).unwrap_err();
    }
    let data = String::from_utf8(sample.clone()).unwrap().replacen(
        r#""data":{"#,
        &format!(r#""data":{{"user_id":{closed},"#),
        1,
    );
    open::<ShopEvent>(Some(data.as_bytes()), Vec::new).unwrap_err();
}
