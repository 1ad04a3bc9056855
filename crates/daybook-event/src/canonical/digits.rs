//! Numbers, times (`2026-03-02T08:57:21.372534Z`) and UUIDs, eight digits at a time.

use jiff::Timestamp;
use uuid::Uuid;

use super::each;

/// The number that eight decimal digits are.
#[inline]
fn eight(digits: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(digits);
    // Digits are 0x30 to 0x39, and stay below 0x40 with six added.
    let are_thirties = |bytes: u64| bytes & each(0xf0) == each(0x30);
    if !are_thirties(digits) || !are_thirties(digits + each(6)) {
        return None;
    }
    let ones = digits & each(0xf);
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// The number that twenty decimal digits are; `None` also if it is too large.
#[inline]
pub(super) fn twenty(digits: &[u8; 20]) -> Option<u64> {
    let [a, b, c, d, rest @ ..] = digits;
    let ([first, second], []) = rest.as_chunks::<8>() else { return None };
    let leading = eight([b'0', b'0', b'0', b'0', *a, *b, *c, *d])?;
    let trailing = eight(*first)? * 100_000_000 + eight(*second)?;
    leading.checked_mul(10_000_000_000_000_000)?.checked_add(trailing)
}

/// The number at the beginning of `text` and what follows it; `None` for leading zeros or if it is too large.
#[inline]
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(length)?;
    if matches!(digits, [] | [b'0', _, ..]) {
        return None;
    }
    let number = digits
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some((number, rest))
}

/// A time of UTC from 1970 on, with six digits of fraction and without leap seconds.
#[inline]
pub(super) fn timestamp(text: &[u8; 27]) -> Option<Timestamp> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', clock @ .., b'Z'] = *text else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2, b'.', fraction @ ..] = clock else { return None };
    let [f1, f2, f3, f4, f5, f6] = fraction;
    let day = day(eight([y1, y2, y3, y4, m1, m2, d1, d2])?)?;
    let second = second_of_day(eight([b'0', b'0', h1, h2, n1, n2, s1, s2])?)?;
    let nanosecond = eight([f1, f2, f3, f4, f5, f6, b'0', b'0'])? * 10;
    Timestamp::new(i64::try_from(day * 86_400 + second).ok()?, i32::try_from(nanosecond).ok()?).ok()
}

/// Seconds since midnight of a time written as hhmmss.
#[inline]
fn second_of_day(clock: u64) -> Option<u64> {
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a date written as yyyymmdd.
#[inline]
fn day(date: u64) -> Option<u64> {
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    if year < 1970 || day == 0 || day > days_of(month, year) {
        return None;
    }
    // Years that begin in March have their leap day last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_month = (153 * month + 2) / 5;
    Some(year * 365 + leap_days + days_before_month + day - 1 - DAYS_TO_1970)
}

const DAYS_TO_1970: u64 = 719_468;

/// Days of a month from 1 to 12; of any other, none.
#[inline]
fn days_of(month: u64, year: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    }
}

/// A UUID in lower case with hyphens.
#[inline(always)]
pub(super) fn uuid(text: &[u8; 36]) -> Option<Uuid> {
    let (first, first_wrong) = hex_digits(four(text, 0), four(text, 4));
    let (second, second_wrong) = hex_digits(four(text, 9), four(text, 14));
    let (third, third_wrong) = hex_digits(four(text, 19), four(text, 24));
    let (fourth, fourth_wrong) = hex_digits(four(text, 28), four(text, 32));
    let digits = first_wrong | second_wrong | third_wrong | fourth_wrong == 0;
    let hyphens = text[8] == b'-' && text[13] == b'-' && text[18] == b'-' && text[23] == b'-';
    let high = (first | second << 32).swap_bytes();
    let low = (third | fourth << 32).swap_bytes();
    (digits && hyphens).then(|| Uuid::from_u64_pair(high, low))
}

#[inline(always)]
fn four(text: &[u8; 36], at: usize) -> u64 {
    u64::from(u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]))
}

/// The four bytes that two times four digits stand for, the first one lowest, and a number that is not zero if these
/// are no such digits.
#[inline(always)]
fn hex_digits(four: u64, four_more: u64) -> (u64, u64) {
    let digits = four | four_more << 32;
    let is_letter = digits >> 6 & each(1);
    let nibbles = (digits & each(0xf)) + is_letter * 9;
    // Whatever was no digit of ours is not what its nibble would be written as.
    let above_nine = (nibbles + each(6)) >> 4 & each(1);
    let written = nibbles + each(b'0') + above_nine * u64::from(b'a' - b'0' - 10);
    let wrong = nibbles & each(0xf0) | written ^ digits;
    let bytes = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    ((pairs | pairs >> 16) & 0xffff_ffff, wrong)
}
