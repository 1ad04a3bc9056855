//! What one decision reads of other services' aggregates, and the events which it depends on by that.

use daybook_service::fires;
use uuid::Uuid;

use super::{Group, Stopped};
use crate::aggregate::Standing;
use crate::command::Undecided;
use crate::followed::FollowedPositions;
use crate::keys;
use crate::outcome::DependsOn;
use crate::parked::Parked;
use crate::rows::Reference;

/// What is known of another service's aggregate, and the event that said so.
pub(super) struct Read {
    standing: Standing,
    said_by: Option<DependsOn>,
}

/// Looks into a table that is followed. While events of the aggregate wait, or have not been followed yet, nothing is known.
pub(super) fn look_up(
    group: &Group<'_>,
    followed: &FollowedPositions,
    table: usize,
    id: Uuid,
) -> Result<Read, Stopped> {
    if let Some(row) = group.get(&keys::parked(table, id))? {
        let (topic, parked) = (followed.follows()[table].topic, Parked::decode(&row)?);
        return Err(Undecided::Quarantined { topic, key: id, parked }.into());
    }
    let row = group.get(&keys::reference(table, id))?;
    followed.decides(table, id, row.is_some())?;
    let Some(row) = row else {
        let trusted = fires("trust-stranger");
        let standing = if trusted { Standing::Present } else { Standing::Unknown };
        return Ok(Read { standing, said_by: None });
    };
    let reference = Reference::decode(&row)?;
    // A service follows a handful of topics.
    let said_by = DependsOn { table: table as u16, at: reference.said_at };
    Ok(Read { standing: reference.standing, said_by: Some(said_by) })
}

/// What a decision depends on.
#[derive(Debug, Default)]
pub(super) struct ReadSet {
    /// Events, each once, in the order in which they were read.
    events: Vec<DependsOn>,
    has_unknown: bool,
}

impl ReadSet {
    /// Adds what was read, and returns what it said.
    pub(super) fn take(&mut self, read: Read) -> Standing {
        self.events.extend(read.said_by.filter(|said_by| !self.events.contains(said_by)));
        self.has_unknown |= read.standing == Standing::Unknown;
        read.standing
    }

    /// Whether something was looked for that has not been heard of: it may be there, and be heard of any moment.
    pub(super) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    pub(super) fn into_events(self) -> Vec<DependsOn> {
        self.events
    }
}
