//! What must hold after a campaign, each rule one pure function of the evidence.

mod account;
mod brokers;
mod commands;
mod disks;
mod log;
mod processes;
mod reads;
mod rows;
mod sessions;

use uuid::Uuid;

use crate::evidence::Evidence;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What is wrong.
    pub(crate) what: String,
    /// Users, products, orders and commands that it is about.
    pub(crate) about: Vec<Uuid>,
}

/// What one check came to.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// How many cases were looked at.
    pub(crate) cases: usize,
    /// What was wrong.
    pub(crate) findings: Vec<Finding>,
}

impl Judged {
    /// Counts a case, and notes what is wrong with it.
    fn case(&mut self, wrong: Option<String>, about: &[Uuid]) {
        self.cases += 1;
        if let Some(what) = wrong {
            self.findings.push(Finding { what, about: about.to_vec() });
        }
    }
}

/// One rule.
pub(crate) struct Check {
    /// Name, as it is printed.
    pub(crate) name: &'static str,
    /// Looks at everything.
    pub(crate) judge: fn(&Evidence) -> Judged,
}

/// All rules.
pub(crate) const CHECKS: &[Check] = &[
    Check { name: "acknowledged-once", judge: commands::acknowledged_once },
    Check { name: "unacknowledged-at-most-once", judge: commands::unacknowledged_at_most_once },
    Check { name: "same-key-same-answer", judge: commands::same_key_same_answer },
    Check { name: "every-event-asked-for", judge: commands::every_event_asked_for },
    Check { name: "order-of-commands", judge: commands::order_kept },
    Check { name: "known-stays-known", judge: commands::known_stays_known },
    Check { name: "records-readable", judge: log::readable },
    Check { name: "positions-contiguous", judge: log::positions_contiguous },
    Check { name: "in-the-log-once", judge: log::in_the_log_once },
    Check { name: "versions-contiguous", judge: log::versions_contiguous },
    Check { name: "emails-unique", judge: log::emails_unique },
    Check { name: "orders-of-the-known", judge: log::orders_of_the_known },
    Check { name: "reads-see-their-write", judge: reads::see_their_write },
    Check { name: "sessions-never-go-back", judge: sessions::never_go_back },
    Check { name: "users-in-d", judge: rows::users },
    Check { name: "products-in-d", judge: rows::products },
    Check { name: "d-equals-replay", judge: rows::verified },
    Check { name: "c-equals-replay", judge: rows::standing },
    Check { name: "nothing-ended-unasked", judge: processes::unasked },
    Check { name: "full-disk-goes-by", judge: disks::full },
    Check { name: "failed-disk-ends", judge: disks::failed },
    Check { name: "index-built-again", judge: disks::no_index },
    Check { name: "broker-away-stops-nobody", judge: brokers::away_stops_nobody },
    Check { name: "questions-answered", judge: processes::answered },
];

#[cfg(test)]
mod tests;
