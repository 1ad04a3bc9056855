//! The log by itself.

use std::collections::BTreeMap;

use schemas::{OrderEvent, ProductEvent, ShopEvent, UserEvent};
use uuid::Uuid;

use super::Judged;
use crate::evidence::{Evidence, Logged};

/// Every record is an event of the shop.
pub(super) fn readable(evidence: &Evidence) -> Judged {
    let mut judged = Judged { cases: evidence.log.len(), findings: Vec::new() };
    for unreadable in &evidence.unreadable {
        judged.case(Some(unreadable.clone()), &[]);
    }
    judged
}

/// In each partition the positions are 0, 1, 2 and so on, in the order of offsets.
pub(super) fn positions_contiguous(evidence: &Evidence) -> Judged {
    let mut next: BTreeMap<(&str, i32), u64> = BTreeMap::new();
    let mut judged = Judged::default();
    for record in &evidence.log {
        let expected = next.entry((&record.topic, record.partition)).or_default();
        let wrong = (record.position != *expected)
            .then(|| format!("{} stands where position {expected} belongs", record.place()));
        judged.case(wrong, &[record.aggregate, record.correlation_id]);
        *expected = record.position + 1;
    }
    judged
}

/// No record in force says what an earlier one says: whatever a writer had under way when it was killed or shut out came to
/// lie behind its successor's claim, which knows by then what is before it.
pub(super) fn in_the_log_once(evidence: &Evidence) -> Judged {
    let mut judged = Judged { cases: evidence.log.len(), findings: Vec::new() };
    for repeat in &evidence.repeats {
        let wrong = format!("{} is repeated", repeat.place());
        judged.case(Some(wrong), &[repeat.aggregate, repeat.correlation_id]);
    }
    judged
}

/// Each aggregate's versions are 1, 2, 3 and so on, in the order of the log.
pub(super) fn versions_contiguous(evidence: &Evidence) -> Judged {
    let mut versions: BTreeMap<Uuid, u64> = BTreeMap::new();
    let mut judged = Judged::default();
    for record in &evidence.log {
        let version = versions.entry(record.aggregate).or_default();
        let wrong = (record.version != *version + 1)
            .then(|| format!("{} is version {} after version {version}", record.place(), record.version));
        judged.case(wrong, &[record.aggregate, record.correlation_id]);
        *version = record.version;
    }
    judged
}

/// While one user has an e-mail address, no other has it. Service A has one writer, so that the times at which it
/// decided tell the order across partitions; commands of one microsecond may have come in either order.
pub(super) fn emails_unique(evidence: &Evidence) -> Judged {
    let mut judged = Judged::default();
    for (email, mut held) in held_emails(evidence) {
        held.sort_by_key(|held| (held.from_us, held.to_us));
        let mut before: Option<Held> = None;
        for now in held {
            let both = before.filter(|before| before.user != now.user && now.from_us < before.to_us);
            let wrong = both.map(|before| format!("{email} belongs to {} and to {}", before.user, now.user));
            judged.case(wrong, &[now.user, both.map_or(now.user, |before| before.user)]);
            before = Some(now);
        }
    }
    judged
}

/// One user's time with an e-mail address.
#[derive(Clone, Copy)]
struct Held {
    user: Uuid,
    from_us: i64,
    to_us: i64,
}

fn held_emails(evidence: &Evidence) -> BTreeMap<String, Vec<Held>> {
    let mut by_user: BTreeMap<Uuid, Vec<(i64, &UserEvent)>> = BTreeMap::new();
    for record in &evidence.log {
        let ShopEvent::User(event) = &record.event else { continue };
        by_user.entry(record.aggregate).or_default().push((record.decided_us, event));
    }
    let mut emails: BTreeMap<String, Vec<Held>> = BTreeMap::new();
    for (user, events) in by_user {
        for (index, (from_us, event)) in events.iter().enumerate() {
            let (UserEvent::SignedUp(now) | UserEvent::Changed(now)) = event else { continue };
            let to_us = events.get(index + 1).map_or(i64::MAX, |(at_us, _)| *at_us);
            // All spellings that clients use.
            let email = now.email.trim().to_lowercase().replace("e\u{301}", "é");
            emails.entry(email).or_default().push(Held { user, from_us: *from_us, to_us });
        }
    }
    emails
}

/// Nobody orders who never signed up, and nothing is ordered that never was created.
pub(super) fn orders_of_the_known(evidence: &Evidence) -> Judged {
    let made = |record: &Logged| match &record.event {
        ShopEvent::User(UserEvent::SignedUp(_)) | ShopEvent::Product(ProductEvent::Created(_)) => {
            Some((record.aggregate, record.decided_us))
        }
        _ => None,
    };
    let made: BTreeMap<Uuid, i64> = evidence.log.iter().filter_map(made).collect();
    let mut judged = Judged::default();
    for record in &evidence.log {
        let ShopEvent::Order(OrderEvent::Placed(placed)) = &record.event else { continue };
        let unknown = |id: &Uuid| made.get(id).is_none_or(|made_us| *made_us > record.decided_us);
        let missing = [placed.user_id, placed.product_id].into_iter().find(unknown);
        let wrong = missing.map(|id| format!("{} rests on {id}, which was not there", record.place()));
        judged.case(wrong, &[placed.order_id, placed.user_id, placed.product_id]);
    }
    judged
}
