//! Times in answers: RFC 3339, UTC, always with microseconds.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

/// A time in microseconds since 1970, which answers show as `2026-11-24T14:29:00.000000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub i64);

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
const TEXT_BYTES: usize = "2026-11-24T14:29:00.000000Z".len();

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::from_microsecond(self.0).map_err(S::Error::custom)?;
        // Printed without `fmt`, which takes twice as long: a page of products holds two times each.
        let mut text = String::with_capacity(TEXT_BYTES);
        PRINTER.print_timestamp(&time, &mut text).map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_always_there() {
        let shown = |us| serde_json::to_string(&Time(us)).unwrap();
        assert_eq!(shown(0), "\"1970-01-01T00:00:00.000000Z\"");
        assert_eq!(shown(1_795_530_540_120_000), "\"2026-11-24T14:29:00.120000Z\"");
        assert_eq!(shown(-1), "\"1969-12-31T23:59:59.999999Z\"");
        assert!(serde_json::to_string(&Time(i64::MAX)).is_err());
    }
}
