//! What must hold of any bytes in the kernel's own files. Asked by a test with random edits and by a fuzz target, and
//! compiled for them only.

use super::block::Block;
use super::change::is_a_record;
use super::checkpoint::SourceCheckpoint;
use super::codec;
use super::external_sort::is_a_run_table;
use super::keys;

/// Bytes of a block, a key, a checkpoint, a run's table or a change: no panic, and what is read lies within.
pub fn stored(bytes: &[u8]) {
    block(bytes);
    let _ = is_of_the_kernel(bytes);
}

fn block(bytes: &[u8]) {
    let Ok(block) = Block::parse(bytes) else { return };
    // Behind its entries lie where they begin and how many they are.
    let end = bytes.len() - (block.len() + 1) * size_of::<u32>();
    for index in 0..block.len() {
        let Ok((key, value)) = block.entry(index) else { continue };
        assert!(value.end <= end && value.start <= value.end, "{value:?} of {end}");
        let _ = block.find(key);
    }
    let _ = (block.find(&[]), block.find(bytes), block.first_from(bytes));
}

/// Whether the kernel may have written such bytes.
fn is_of_the_kernel(bytes: &[u8]) -> bool {
    let checkpoint = codec::read::<SourceCheckpoint>(bytes).map(|checkpoint| {
        let mut written = Vec::new();
        assert_eq!(codec::put(&checkpoint, &mut written), Ok(()));
        assert_eq!(codec::read(&written), Ok(checkpoint));
    });
    let source = keys::decode_source(bytes).map(|source| assert_eq!(keys::source(&source), bytes));
    let key = keys::decode(bytes).map(|(view, key, part)| {
        assert_eq!(keys::RowKey::of(view, key, part).bytes(), bytes);
    });
    let whole_block =
        Block::parse(bytes).is_ok_and(|block| (0..block.len()).all(|at| block.entry(at).is_ok()));
    [checkpoint.is_ok(), source.is_ok(), key.is_ok(), whole_block, is_a_run_table(bytes), is_a_record(bytes)]
        .contains(&true)
}

#[cfg(test)]
#[path = "../../../fuzz/random.rs"]
mod random;

#[cfg(test)]
mod tests {
    use super::random::{seeds, try_many};
    use super::*;

    const STORED: &str = "fuzz/seeds/stored";

    #[test]
    fn any_bytes_are_stored_ones_or_refused() {
        try_many(seeds(STORED), stored);
    }

    #[test]
    fn every_seed_is_of_the_kernel() {
        assert!(seeds(STORED).iter().all(|seed| is_of_the_kernel(seed)));
    }
}
