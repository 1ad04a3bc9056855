//! Decimal numbers.

use super::each;

/// The number that eight decimal digits are.
#[inline]
pub(super) fn eight(digits: [u8; 8]) -> Option<u64> {
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
