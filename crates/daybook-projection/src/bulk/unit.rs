//! Units: parts of the key space, of about equal size, that are written one by one.

use std::sync::Arc;

use super::Run;

/// Bytes of changes in a unit: what a resumed build may have to write again, for each thread.
const UNIT_BYTES: u64 = 32 << 20;

/// The keys of one view from `from` on, up to and without `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Index of the view, in the order of the projection.
    pub(crate) view: usize,
    pub(crate) from: u128,
    pub(crate) to: Option<u128>,
}

/// Divides all keys of `runs` into units, in ascending order.
pub(crate) fn plan(runs: &[Arc<Run>], views: usize) -> Vec<Unit> {
    (0..views).flat_map(|view| plan_view(runs, view)).collect()
}

fn plan_view(runs: &[Arc<Run>], view: usize) -> Vec<Unit> {
    let sections = || runs.iter().filter_map(|run| run.sections.get(view));
    let bytes: u64 = sections().map(|section| section.end - section.start).sum();
    if bytes == 0 {
        return Vec::new();
    }
    // The tables' keys stand for about equally many bytes each.
    let mut keys: Vec<u128> =
        sections().flat_map(|section| section.table.iter().map(|(key, _)| *key)).collect();
    keys.sort_unstable();
    let units = bytes.div_ceil(UNIT_BYTES) as usize;
    let mut borders: Vec<u128> = (1..units).map(|unit| keys[unit * keys.len() / units]).collect();
    borders.dedup();
    borders.retain(|border| *border > 0);
    let from = std::iter::once(0).chain(borders.iter().copied());
    let to = borders.iter().copied().map(Some).chain(std::iter::once(None));
    from.zip(to).map(|(from, to)| Unit { view, from, to }).collect()
}
