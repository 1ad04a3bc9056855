//! Whether a difference may come of events that are left out of what is published, and that the list beside it does not name.

use super::served::{Client, QuarantineShown, Served};
use crate::quarantine::{SkippedEvent, unnamed};

/// Where it is known what is left out of what is published; does not keep that open.
pub(crate) enum LeftOut {
    Known(Vec<SkippedEvent>),
    /// By who serves it: asked only once there is a difference.
    There(Client),
}

impl LeftOut {
    pub(crate) fn of(served: &Served) -> Self {
        match served {
            Served::Here { generation, .. } => Self::Known(generation.quarantine().skipped().to_vec()),
            Served::There(client) => Self::There(client.clone()),
        }
    }

    /// A sentence, if there are such events: whatever is built anew has them. None also where that cannot be told.
    pub(crate) fn lost_note(self, named: &[SkippedEvent]) -> Option<String> {
        let left_out = match self {
            Self::Known(left_out) => left_out,
            Self::There(client) => {
                let QuarantineShown { skipped, .. } = Served::There(client).quarantine().ok()?;
                skipped
            }
        };
        let lost = unnamed(&left_out, named);
        let SkippedEvent { topic, partition, position, key, .. } = lost.first()?;
        Some(format!(
            "{} events are left out of what is published and not named in SKIPPED any more, the first of them \
             {topic}/{partition}@{position} of key {key}: what is built anew has them, which may be all the difference. Restore SKIPPED \
             from a copy first",
            lost.len()
        ))
    }
}
