//! What a faulty service would have made of its disk's faults. They are put in whether or not there were any.

use crate::evidence::{DiskFault, Evidence, FailedDisk, FullDisk, Part};
use crate::world::disk::INDEX_ASIDE;

/// A disk that was full, and a service that did well but for this.
fn full(evidence: &mut Evidence, but: impl FnOnce(&mut FullDisk)) -> Option<()> {
    let (live, query) = (Some(200), Some(404));
    let mut full = FullDisk { service: "users", refused: true, decided: false, live, query, went_on: true };
    but(&mut full);
    evidence.disk_faults.push(DiskFault::Full(full));
    Some(())
}

pub(super) fn take_all(evidence: &mut Evidence) -> Option<()> {
    full(evidence, |full| full.refused = false)
}

pub(super) fn take_some(evidence: &mut Evidence) -> Option<()> {
    full(evidence, |full| full.decided = true)
}

pub(super) fn play_dead(evidence: &mut Evidence) -> Option<()> {
    full(evidence, |full| full.live = None)
}

pub(super) fn drag_d_along(evidence: &mut Evidence) -> Option<()> {
    full(evidence, |full| full.query = Some(503))
}

pub(super) fn stay_full(evidence: &mut Evidence) -> Option<()> {
    full(evidence, |full| full.went_on = false)
}

fn failed(evidence: &mut Evidence, part: Part, ended: Option<(Option<i32>, String)>) -> Option<()> {
    evidence.disk_faults.push(DiskFault::Failed(FailedDisk { service: "users", part, ended }));
    Some(())
}

pub(super) fn end_in_silence(evidence: &mut Evidence) -> Option<()> {
    failed(evidence, Part::Journal, Some((Some(1), "spoiled".to_owned())))
}

/// It says what is wrong, and by its exit code that nothing is.
pub(super) fn end_well(evidence: &mut Evidence) -> Option<()> {
    failed(evidence, Part::Index, Some((Some(0), INDEX_ASIDE.to_owned())))
}

pub(super) fn trust_disk(evidence: &mut Evidence) -> Option<()> {
    failed(evidence, Part::Journal, None)
}

pub(super) fn leave_index(evidence: &mut Evidence) -> Option<()> {
    evidence.disk_faults.push(DiskFault::NoIndex { service: "users", built_again: false });
    Some(())
}
