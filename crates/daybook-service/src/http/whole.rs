//! Integers of a body as JSON Schema has them: `2`, `2.0` and `2e0` are one.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// An integer of 64 bits, however it is written: the type of a field in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer of 64 bits")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
                let fits = i64::try_from(number).map(Whole);
                fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
                // Up to here each float is one integer; beyond, it stands for several.
                const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
                let is_whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
                is_whole
                    .then_some(Whole(number as i64))
                    .ok_or(E::invalid_type(Unexpected::Float(number), &self))
            }
        }
        from.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Whole>(text);
        for (text, number) in
            [("2", 2), ("2.0", 2), ("2e0", 2), ("-0.0", 0), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(read(text).unwrap(), Whole(number), "{text}");
        }
        for text in ["2.5", "1e300", "9223372036854775808", "\"2\"", "null", "true"] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.contains("an integer of 64 bits"), "{text}: {refused}");
        }
    }
}
