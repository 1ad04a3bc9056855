//! UUIDs: 32 hexadecimal digits, eight at a time.

use uuid::Uuid;

use super::each;

/// A UUID in lower case with hyphens.
#[inline(always)]
pub(super) fn uuid(text: &[u8; 36]) -> Option<Uuid> {
    let (first, first_wrong) = eight(four(text, 0), four(text, 4));
    let (second, second_wrong) = eight(four(text, 9), four(text, 14));
    let (third, third_wrong) = eight(four(text, 19), four(text, 24));
    let (fourth, fourth_wrong) = eight(four(text, 28), four(text, 32));
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
fn eight(four: u64, four_more: u64) -> (u64, u64) {
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
