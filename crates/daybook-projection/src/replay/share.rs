//! Which partitions each reading thread reads, and how far.

use crate::source::Source;

/// A partition that one thread reads: its index in the checkpoint, its place, and its end offset.
pub(super) type Share = (u32, Source, i64);

/// The partitions of each thread that are not read yet: all topics' partitions of one number go together.
pub(super) fn shares(sources: Vec<Source>, ends: &[i64], threads: usize) -> Vec<Vec<Share>> {
    let mut shares = vec![Vec::new(); threads];
    for ((number, source), end) in (0..).zip(sources).zip(ends) {
        if source.state.next_offset() < *end {
            shares[source.id.partition.unsigned_abs() as usize % threads].push((number, source, *end));
        }
    }
    shares.retain(|share| !share.is_empty());
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, SourceCheckpoint, SourceId};
    use crate::projection::Projection;
    use crate::source;

    const NOTHING: Projection<()> = Projection { layout_version: 1, topics: &[], views: &[] };

    fn checkpoint(next_offsets: &[(&str, i32, i64)]) -> Checkpoint {
        Checkpoint::from_sources(next_offsets.iter().map(|(topic, partition, next_offset)| {
            let at = SourceCheckpoint { next_offset: *next_offset, ..SourceCheckpoint::default() };
            (SourceId { topic: (*topic).into(), partition: *partition }, at)
        }))
    }

    #[test]
    fn partitions_of_one_number_go_together_and_what_is_read_goes_to_nobody() {
        let read = checkpoint(&[("a", 0, 0), ("a", 1, 5), ("a", 2, 6), ("b", 0, 2), ("b", 1, 3)]);
        let names = |threads: usize, ends: &[i64]| -> Vec<Vec<String>> {
            let shares = shares(source::sources(&NOTHING, &read), ends, threads);
            let name = |(number, source, end): &Share| format!("{number}: {} to {end}", source.id);
            shares.iter().map(|share| share.iter().map(name).collect()).collect()
        };
        let two = [vec!["0: a/0 to 6", "3: b/0 to 6"], vec!["1: a/1 to 6", "4: b/1 to 6"]];
        assert_eq!(names(2, &[6; 5]), two);
        assert_eq!(names(1, &[6; 5]).len(), 1);
        assert_eq!(names(2, &[6, 5, 6, 6, 3]), two[..1], "partitions 1 are read");
        assert_eq!(names(9, &[0, 5, 6, 2, 3]), Vec::<Vec<String>>::new());
    }
}
