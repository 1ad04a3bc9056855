//! UUIDs: 32 hexadecimal digits, eight at a time.

use uuid::Uuid;

use super::each;

/// A UUID in lower case with hyphens.
#[inline(always)]
pub(super) fn uuid(text: &[u8; 36]) -> Option<Uuid> {
    let hyphens = [text[8], text[13], text[18], text[23]];
    let (first, wrong_first) = eight(four_and_four(text, 0, 4));
    let (second, wrong_second) = eight(four_and_four(text, 9, 14));
    let (third, wrong_third) = eight(four_and_four(text, 19, 24));
    let (fourth, wrong_fourth) = eight(four_and_four(text, 28, 32));
    let wrong = wrong_first | wrong_second | wrong_third | wrong_fourth;
    let right = wrong == 0 && hyphens == *b"----";
    right.then(|| Uuid::from_u64_pair(first << 32 | second, third << 32 | fourth))
}

#[inline]
fn four_and_four(text: &[u8; 36], one: usize, other: usize) -> u64 {
    let four = |at: usize| u32::from_be_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
    u64::from(four(one)) << 32 | u64::from(four(other))
}

/// The 32 bits that eight digits stand for, and a number that is not zero if they are no such digits.
#[inline]
fn eight(digits: u64) -> (u64, u64) {
    let is_letter = digits >> 6 & each(1);
    let nibbles = (digits & each(0xf)) + is_letter * 9;
    // Whatever was no digit of ours is not what its nibble would be written as.
    let above_nine = (nibbles + each(6)) >> 4 & each(1);
    let written = nibbles + each(b'0') + above_nine * u64::from(b'a' - b'0' - 10);
    let wrong = nibbles & each(0xf0) | written ^ digits;
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    ((pairs | pairs >> 16) & 0xffff_ffff, wrong)
}
