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
