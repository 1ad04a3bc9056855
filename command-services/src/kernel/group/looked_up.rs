//! What one decision looks up of other services' aggregates, and the events which that rests on.

use std::cell::RefCell;

use event_log::sabotage::{self, Fault};
use uuid::Uuid;

use super::{Group, GroupError};
use crate::kernel::aggregate::Standing;
use crate::kernel::answer::RestsOn;
use crate::kernel::keys;
use crate::kernel::rows::Reference;

/// Looks into the tables that are followed, and keeps what was found.
pub(super) struct LookedUp<'g> {
    group: &'g Group<'g>,
    rests_on: RefCell<Vec<RestsOn>>,
}

impl<'g> LookedUp<'g> {
    pub(super) fn new(group: &'g Group<'_>) -> Self {
        Self { group, rests_on: RefCell::default() }
    }

    pub(super) fn standing(&self, table: usize, id: Uuid) -> Result<Standing, GroupError> {
        let Some(row) = self.group.get(&keys::reference(table, id))? else {
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
