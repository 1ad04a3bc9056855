//! What one decision looks up of other services' aggregates, and the events which that rests on.

use std::cell::RefCell;

use event_log::sabotage::{self, Fault};
use uuid::Uuid;

use super::{Group, Stopped};
use crate::kernel::aggregate::Standing;
use crate::kernel::answer::RestsOn;
use crate::kernel::command::Undecided;
use crate::kernel::followed::FollowedPositions;
use crate::kernel::keys;
use crate::kernel::parked::Parked;
use crate::kernel::rows::Reference;

/// Looks into the tables that are followed, and keeps what was found.
pub(super) struct LookedUp<'g> {
    group: &'g Group<'g>,
    followed: &'g FollowedPositions,
    rests_on: RefCell<Vec<RestsOn>>,
}

impl<'g> LookedUp<'g> {
    pub(super) fn new(group: &'g Group<'_>, followed: &'g FollowedPositions) -> Self {
        Self { group, followed, rests_on: RefCell::default() }
    }

    /// What is known of another service's aggregate; while events of it wait, or have not been followed yet, nothing is.
    pub(super) fn standing(&self, table: usize, id: Uuid) -> Result<Standing, Stopped> {
        if let Some(row) = self.group.get(&keys::parked(table, id))? {
            let (topic, parked) = (self.followed.topic(table), Parked::decode(&row)?);
            return Err(Undecided::Quarantined { topic, key: id, parked }.into());
        }
        let row = self.group.get(&keys::reference(table, id))?;
        self.followed.decides(row.is_some())?;
        let Some(row) = row else {
            let trusted = sabotage::strikes(Fault::TrustStranger);
            return Ok(if trusted { Standing::Present } else { Standing::Unknown });
        };
        let reference = Reference::decode(&row)?;
        // A service follows a handful of topics.
        let rests_on = RestsOn { table: table as u16, at: reference.said_at };
        let mut all = self.rests_on.borrow_mut();
        if !all.contains(&rests_on) {
            all.push(rests_on);
        }
        Ok(reference.standing)
    }

    pub(super) fn rests_on(self) -> Vec<RestsOn> {
        self.rests_on.into_inner()
    }
}
