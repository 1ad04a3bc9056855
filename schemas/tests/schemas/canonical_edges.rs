//! Numbers and times at their limits: which of them are canonical. With the shop, whose samples it varies.

use crate::canonical::open_both_ways;
use crate::files::sample_at;

const ORDER: &str = "samples/shop.order.placed.v2/largest-quantity.json";
const PRODUCT: &str = "samples/shop.product.changed.v2/priced.json";

/// Checks which of `values` in the place of `original` leave the sample canonical.
#[track_caller]
fn check(sample: &str, original: &str, values: &[(&str, bool)]) {
    let sample = String::from_utf8(sample_at(sample).value).unwrap();
    assert_eq!(sample.matches(original).count(), 1, "{original}");
    for (value, expected) in values {
        let edited = sample.replace(original, value);
        assert_eq!(open_both_ways(edited.as_bytes()).is_some(), *expected, "{value}");
    }
}

#[test]
fn times_are_dates_of_the_calendar_since_1970_without_leap_seconds() {
    let times = [
        ("1970-01-01T00:00:00.000000Z", true),
        ("1969-12-31T23:59:59.999999Z", false),
        ("0000-01-01T00:00:00.000000Z", false),
        ("1972-02-29T23:59:59.999999Z", true),
        ("2000-02-29T00:00:00.000000Z", true),
        ("2000-03-01T00:00:00.000000Z", true),
        ("2023-02-28T00:00:00.000000Z", true),
        ("2023-02-29T00:00:00.000000Z", false),
        ("2024-02-29T00:00:00.000000Z", true),
        ("2024-02-30T00:00:00.000000Z", false),
        ("2100-02-28T00:00:00.000000Z", true),
        ("2100-02-29T00:00:00.000000Z", false),
        ("2024-04-31T00:00:00.000000Z", false),
        ("2024-12-31T00:00:00.000000Z", true),
        ("2024-12-32T00:00:00.000000Z", false),
        ("2024-13-01T00:00:00.000000Z", false),
        ("2024-00-01T00:00:00.000000Z", false),
        ("2024-01-00T00:00:00.000000Z", false),
        ("2024-01-01T24:00:00.000000Z", false),
        ("2024-01-01T00:60:00.000000Z", false),
        ("2016-12-31T23:59:60.000000Z", false),
        ("9999-12-30T22:00:00.999999Z", true),
        ("9999-12-30T22:00:01.000000Z", false),
        ("9999-12-31T23:59:59.999999Z", false),
        ("2024-01-01t00:00:00.000000Z", false),
        ("2024-01-01T00:00:00.000000z", false),
        ("2024-01-01T00:00:00,000000Z", false),
        ("2024-01-01T00:00:00.000+01Z", false),
        ("2024-01-01T00:00:00.00000Z", false),
        ("2024-01-01T00:00:00Z", false),
    ];
    check(ORDER, "2026-03-02T08:57:21.372534Z", &times);
}

#[test]
fn days_of_400_years_are_the_days_that_the_parser_finds() {
    let sample = String::from_utf8(sample_at(ORDER).value).unwrap();
    let mut canonical = 0;
    for year in 1970..2370 {
        for (month, day) in [(1, 1), (2, 28), (2, 29), (2, 30), (3, 1), (12, 31), (year % 14, year % 33)] {
            let edited = sample.replace("2026-03-02", &format!("{year}-{month:02}-{day:02}"));
            canonical += usize::from(open_both_ways(edited.as_bytes()).is_some());
        }
    }
    assert!(canonical > 5 * 400, "{canonical}");
    for (month, days) in (1..).zip([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        for day in 0..=32 {
            let edited = sample.replace("2026-03-02", &format!("2026-{month:02}-{day:02}"));
            assert_eq!(open_both_ways(edited.as_bytes()).is_some(), (1..=days).contains(&day));
        }
    }
}

#[test]
fn positions_are_of_twenty_digits_and_fit() {
    let positions = [
        ("00000000000000000000", true),
        ("12345678901234567890", true),
        ("18446744073709551615", true),
        ("18446744073709551616", false),
        ("99999999999999999999", false),
        ("0000000000000000001", false),
        ("000000000000000000001", false),
        ("+0000000000000000001", false),
    ];
    check(ORDER, "00000000000001000000", &positions);
}

#[test]
fn versions_are_numbers_from_1() {
    let versions = [
        ("1", true),
        ("10", true),
        ("18446744073709551615", true),
        ("18446744073709551616", false),
        ("100000000000000000000", false),
        ("0", false),
        ("01", false),
        ("-1", false),
        ("1.0", false),
        ("1e2", false),
        ("", false),
        (" 1", false),
        ("null", false),
    ];
    let versions = versions.map(|(version, is)| (format!(r#"aggregateversion":{version},"#), is));
    let versions = versions.each_ref().map(|(version, is)| (version.as_str(), *is));
    check(ORDER, r#"aggregateversion":1,"#, &versions);
}

#[test]
fn quantities_are_numbers_from_1_to_32_bits() {
    let quantities = [
        ("1}", true),
        ("4294967295}", true),
        ("4294967296}", false),
        ("4294967297}", false),
        ("0}", false),
        ("01}", false),
        ("-1}", false),
        ("-0}", false),
        ("1.0}", false),
        ("1E2}", false),
        ("null}", false),
        ("1 }", false),
        ("1},", false),
        ("1}}", false),
        ("1", false),
        ("", false),
    ];
    check(ORDER, "4294967295}", &quantities);
}

#[test]
fn prices_are_whole_numbers_of_64_bits_or_null() {
    let prices = [
        ("null}", true),
        ("0}", true),
        ("-1}", true),
        ("9223372036854775807}", true),
        ("9223372036854775808}", false),
        ("-9223372036854775808}", true),
        ("-9223372036854775809}", false),
        ("-0}", false),
        ("-01}", false),
        ("00}", false),
        ("--1}", false),
        ("+1}", false),
        ("-}", false),
        ("3500.0}", false),
        ("nul}", false),
        ("nullnull}", false),
        ("null1}", false),
    ];
    check(PRODUCT, "3500}", &prices);
}

#[test]
fn sources_are_a_service_and_a_partition_of_32_bits() {
    let sources = [
        ("/orders/0", true),
        ("/orders/2147483647", true),
        ("/orders/2147483648", false),
        ("/orders/-1", false),
        ("/orders/", false),
        ("//1", false),
        ("/1", false),
        ("orders/1", false),
        ("/주문/1", true),
    ];
    check(ORDER, "/orders/1", &sources);
}

#[test]
fn texts_have_neither_escapes_nor_control_characters() {
    for (text, expected) in
        [("", true), ("\u{7f}é", true), ("\\n", false), ("\n", false), ("\u{1f}", false), ("\"", false)]
    {
        for spaces in 0..20 {
            let text = format!("{}{text}{}", " ".repeat(spaces), " ".repeat(20 - spaces));
            check(PRODUCT, "trousers.jpg", &[(&text, expected)]);
        }
    }
}
