//! Values in canonical form: what is read is what the parser reads, and what serde writes is read.

use std::fmt::Debug;
use std::num::NonZero;

use daybook_event::canonical::{Cursor, Value};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

fn canonical<T: Value>(text: &str) -> Option<T> {
    let mut at = Cursor::new(text.as_bytes());
    let value = T::read(&mut at)?;
    at.end(b"").map(|()| value)
}

/// Texts of numbers, of everything near them, and of the other values.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i128>().prop_map(|number| (number >> 60).to_string()),
        (any::<i64>(), 0..64_u32).prop_map(|(number, bits): (i64, u32)| (number >> bits).to_string()),
        "-?[0-9]{1,21}(\\.0|e1)?",
        prop_oneof![Just("true"), Just("false"), Just("null"), Just("-0"), Just("+1"), Just("")]
            .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        any::<u128>().prop_map(|id| format!("\"{}\"", Uuid::from_u128(id))),
    ]
}

fn check<T: Value + Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    let (fast, parsed) = (canonical::<T>(text), serde_json::from_str::<T>(text).ok());
    if fast.is_some() {
        assert_eq!(fast, parsed, "{text}");
    }
    let Some(written) = parsed.as_ref().map(|value| serde_json::to_string(value).unwrap()) else { return };
    if !written.contains('\\') {
        assert_eq!(canonical::<T>(&written), parsed, "{written}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    #[test]
    fn a_value_in_canonical_form_is_what_the_parser_finds(text in text()) {
        check::<u8>(&text);
        check::<u16>(&text);
        check::<u32>(&text);
        check::<u64>(&text);
        check::<i8>(&text);
        check::<i16>(&text);
        check::<i32>(&text);
        check::<i64>(&text);
        check::<NonZero<u8>>(&text);
        check::<NonZero<u32>>(&text);
        check::<NonZero<i64>>(&text);
        check::<bool>(&text);
        check::<String>(&text);
        check::<Uuid>(&text);
        check::<Option<u8>>(&text);
        check::<Option<String>>(&text);
        check::<Option<bool>>(&text);
    }
}

#[test]
fn numbers_are_canonical_as_far_as_their_type_goes() {
    assert_eq!((canonical("255"), canonical::<u8>("256"), canonical::<u8>("-1")), (Some(255_u8), None, None));
    assert_eq!(
        (canonical("-128"), canonical::<i8>("-129"), canonical::<i8>("128")),
        (Some(-128_i8), None, None)
    );
    assert_eq!((canonical("1"), canonical::<NonZero<u16>>("0")), (NonZero::new(1_u16), None));
    assert_eq!(canonical::<Option<u8>>("null"), Some(None));
    assert_eq!(
        (canonical("true"), canonical("false"), canonical::<bool>("1")),
        (Some(true), Some(false), None)
    );
}
