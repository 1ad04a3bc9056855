//! The processes themselves.

use super::Judged;
use crate::evidence::Evidence;

/// No service ended, and no replay failed, but for what was done to it.
pub(super) fn unasked(evidence: &Evidence) -> Judged {
    let mut judged = Judged { cases: 1, findings: Vec::new() };
    for ended in &evidence.unasked {
        judged.case(Some(ended.clone()), &[]);
    }
    judged
}

/// When all is at rest, services stop and start as they are told, and answer every question.
pub(super) fn answered(evidence: &Evidence) -> Judged {
    let asked = evidence.users.len() + evidence.products.len() + evidence.standing.len();
    let mut judged = Judged { cases: asked, findings: Vec::new() };
    for missing in &evidence.missing {
        judged.case(Some(missing.clone()), &[]);
    }
    judged
}
