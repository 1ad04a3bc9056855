//! Times: `2026-03-02T08:57:21.372534Z`.

use jiff::Timestamp;

use super::digits;

/// A time of UTC from 1970 on, with six digits of fraction and without leap seconds.
#[inline]
pub(super) fn timestamp(text: &[u8; 27]) -> Option<Timestamp> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', clock @ .., b'Z'] = *text else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2, b'.', fraction @ ..] = clock else { return None };
    let [f1, f2, f3, f4, f5, f6] = fraction;
    let day = day(digits::eight([y1, y2, y3, y4, m1, m2, d1, d2])?)?;
    let second = second_of_day(digits::eight([b'0', b'0', h1, h2, n1, n2, s1, s2])?)?;
    let nanosecond = digits::eight([f1, f2, f3, f4, f5, f6, b'0', b'0'])? * 10;
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
