//! Many positions of one topic in little room: `products.events/*@…`.
//!
//! Behind `@` stand bits, six a character, in the alphabet of base64url: how many partitions there are from 0 on (16 bits), the
//! lowest position (64), how many bits each position takes (7); for each partition whether it is named; and, for each one named,
//! its position above the lowest. Exact: what is read is what was written.

use super::POSITIONS_MAX;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BITS_OF_CHAR: u32 = 6;
const BITS_OF_COUNT: u32 = 16;
const BITS_OF_WIDTH: u32 = 7;

/// Partition and position of each, in the order of partitions, which are from 0 on.
pub(super) fn write(positions: &[(i32, u64)]) -> String {
    let lowest = positions.iter().map(|(_, position)| *position).min().unwrap_or_default();
    let spread = positions.iter().map(|(_, position)| position - lowest).max().unwrap_or_default();
    let width = u64::BITS - spread.leading_zeros();
    let count = positions.last().map_or(0, |(partition, _)| partition + 1);
    let mut bits = Writer::default();
    bits.put(count as u64, BITS_OF_COUNT);
    bits.put(lowest, u64::BITS);
    bits.put(u64::from(width), BITS_OF_WIDTH);
    for partition in 0..count {
        let is_named = positions.binary_search_by_key(&partition, |(named, _)| *named).is_ok();
        bits.put(u64::from(is_named), 1);
    }
    positions.iter().for_each(|(_, position)| bits.put(position - lowest, width));
    bits.finish()
}

/// None if it is nothing that [`write`] writes.
pub(super) fn read(text: &str) -> Option<Vec<(i32, u64)>> {
    let mut bits = Reader { text: text.bytes(), kept: 0, filled: 0 };
    let count = bits.take(BITS_OF_COUNT).filter(|count| *count <= POSITIONS_MAX as u64)?;
    let (lowest, width) = (bits.take(u64::BITS)?, bits.take(BITS_OF_WIDTH)?);
    let width = u32::try_from(width).ok().filter(|width| *width <= u64::BITS)?;
    let mut named = Vec::new();
    for partition in 0..i32::try_from(count).ok()? {
        if bits.take(1)? == 1 {
            named.push(partition);
        }
    }
    let position = |partition| Some((partition, lowest.checked_add(bits.take(width)?)?));
    let positions: Vec<_> = named.into_iter().map(position).collect::<Option<_>>()?;
    (!positions.is_empty() && write(&positions) == text).then_some(positions)
}

/// Collects bits, the highest of each number first.
#[derive(Default)]
struct Writer {
    text: String,
    kept: u8,
    filled: u32,
}

impl Writer {
    fn put(&mut self, number: u64, width: u32) {
        for bit in (0..width).rev() {
            self.kept = self.kept << 1 | (number >> bit & 1) as u8;
            self.filled += 1;
            if self.filled == BITS_OF_CHAR {
                self.text.push(char::from(ALPHABET[usize::from(self.kept)]));
                (self.kept, self.filled) = (0, 0);
            }
        }
    }

    fn finish(mut self) -> String {
        let missing = (BITS_OF_CHAR - self.filled) % BITS_OF_CHAR;
        self.put(0, missing);
        self.text
    }
}

struct Reader<'t> {
    text: std::str::Bytes<'t>,
    kept: u8,
    filled: u32,
}

impl Reader<'_> {
    fn take(&mut self, width: u32) -> Option<u64> {
        let mut number = 0;
        for _ in 0..width {
            if self.filled == 0 {
                self.kept = value_of(self.text.next()?)?;
                self.filled = BITS_OF_CHAR;
            }
            self.filled -= 1;
            number = number << 1 | u64::from(self.kept >> self.filled & 1);
        }
        Some(number)
    }
}

fn value_of(digit: u8) -> Option<u8> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value)
}
