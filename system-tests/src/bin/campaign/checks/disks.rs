//! What services made of their disks' faults.

use super::Judged;
use crate::evidence::{DiskFault, Evidence, FailedDisk, FullDisk, Part};
use crate::world::disk::{INDEX_ASIDE, JOURNAL_FAILED};

/// Exit code of a service that cannot go on.
const EXIT_FAILED: i32 = 1;

/// Of the faults that a rule is about it says what is wrong, if anything is.
fn judged(evidence: &Evidence, rule: impl Fn(&DiskFault) -> Option<Option<String>>) -> Judged {
    let mut judged = Judged::default();
    evidence.disk_faults.iter().filter_map(rule).for_each(|wrong| judged.case(wrong, &[]));
    judged
}

/// A service whose disk has no room refuses commands and lives, D answers meanwhile, and once there is room it goes on by
/// itself.
pub(super) fn full(evidence: &Evidence) -> Judged {
    judged(evidence, |fault| {
        let DiskFault::Full(FullDisk { service, refused, decided, live, query, went_on }) = fault else {
            return None;
        };
        let wrong = match () {
            () if !refused => "it never refused a command".to_owned(),
            () if *decided => {
                "it refused a command, and decided another one before there was room".to_owned()
            }
            () if *live != Some(200) => format!("whether it lives, it answered {live:?}"),
            () if !query.is_some_and(|status| status < 500) => format!("D answered {query:?}"),
            () if !went_on => "it did not go on by itself when there was room".to_owned(),
            () => return Some(None),
        };
        Some(Some(format!("the disk of {service} was full: {wrong}")))
    })
}

/// A service whose disk fails ends, and says why: of its journal it does not know what is on the disk, and its index it puts
/// aside.
pub(super) fn failed(evidence: &Evidence) -> Judged {
    judged(evidence, |fault| {
        let DiskFault::Failed(FailedDisk { service, part, ended }) = fault else { return None };
        let reason = match part {
            Part::Journal => JOURNAL_FAILED,
            Part::Index => INDEX_ASIDE,
        };
        let wrong = match ended {
            Some((Some(EXIT_FAILED), said)) if said.contains(reason) => return Some(None),
            Some((code, said)) => format!("ended with exit code {code:?}, saying: {said}"),
            None => "went on".to_owned(),
        };
        Some(Some(format!("a write or sync of the {part} of {service} failed, and it {wrong}")))
    })
}

/// An index that is gone, or not to be trusted, is built again.
pub(super) fn no_index(evidence: &Evidence) -> Judged {
    judged(evidence, |fault| {
        let DiskFault::NoIndex { service, built_again } = fault else { return None };
        let wrong = format!("{service} was started without an index, and did not build it again");
        Some((!built_again).then_some(wrong))
    })
}
