//! Whether a difference may come of events that are left out of what is published, and that the list beside it does not name.

use super::served::Served;
use crate::kernel::quarantine::{SkippedEvent, unnamed};

/// A sentence that says so, if there are such events: whatever is built anew has them. None also where that cannot be told.
pub(in crate::kernel) fn lost_note(served: &Served, named: &[SkippedEvent]) -> Option<String> {
    let left_out = served.quarantine().ok()?.skipped;
    let lost = unnamed(&left_out, named);
    let SkippedEvent { topic, partition, position, key, .. } = lost.first()?;
    Some(format!(
        "{} events are left out of what is published and not named in SKIPPED any more, the first of them {topic}/{partition}@{position} \
         of key {key}: what is built anew has them, which may be all the difference. Restore SKIPPED from a copy first",
        lost.len()
    ))
}
