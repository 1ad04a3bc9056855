//! Faults put into the evidence on purpose, to see that the checks find them: a checker that cannot fail is worth
//! nothing. No service is changed for it.

use schemas::shop::{OrderEvent, ShopEvent, UserEvent};
use schemas::token::Token;
use uuid::Uuid;

use crate::evidence::{Evidence, Logged, Standing};
use crate::history::{Effect, Outcome, Seen};

/// One fault, and the check that has to find it.
pub(crate) struct Sabotage {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Name of the check.
    pub(crate) found_by: &'static str,
    /// Puts it in; `None` if the evidence has nothing that could be spoiled that way.
    pub(crate) spoil: fn(&mut Evidence) -> Option<()>,
}

/// All faults: at least one for each check.
pub(crate) const ALL: &[Sabotage] = &[
    // A service forgets what it has acknowledged, as after a power cut without a sync: nothing of it is left.
    Sabotage { name: "skip-sync", found_by: "acknowledged-once", spoil: skip_sync },
    // The relay leaves a row out.
    Sabotage { name: "drop-row", found_by: "positions-contiguous", spoil: drop_row },
    // The relay sends a row again, though its service was not killed.
    Sabotage { name: "double-send", found_by: "repeats-only-after-kills", spoil: double_send },
    // A command is carried out twice.
    Sabotage { name: "decide-twice", found_by: "acknowledged-once", spoil: decide_twice },
    // Two events of a partition change places.
    Sabotage { name: "reorder", found_by: "positions-contiguous", spoil: reorder },
    // Two events of an aggregate change places, and their positions are put right again.
    Sabotage { name: "reorder-aggregate", found_by: "versions-contiguous", spoil: reorder_aggregate },
    // Two commands of an aggregate are carried out in the wrong order.
    Sabotage { name: "wrong-order", found_by: "order-of-commands", spoil: wrong_order },
    Sabotage { name: "refuse-and-do", found_by: "unacknowledged-at-most-once", spoil: refuse_and_do },
    Sabotage { name: "other-answer", found_by: "same-key-same-answer", spoil: other_answer },
    Sabotage { name: "ghost-event", found_by: "every-event-asked-for", spoil: ghost_event },
    Sabotage { name: "garble", found_by: "records-readable", spoil: garble },
    Sabotage { name: "twin-email", found_by: "emails-unique", spoil: twin_email },
    Sabotage { name: "order-of-nobody", found_by: "orders-of-the-known", spoil: order_of_nobody },
    // A read does not wait for its token.
    Sabotage { name: "stale-read", found_by: "reads-see-their-write", spoil: stale_read },
    // A read says that it rests on its token, and does not show it.
    Sabotage { name: "blind-read", found_by: "reads-see-their-write", spoil: blind_read },
    Sabotage { name: "back-in-time", found_by: "sessions-never-go-back", spoil: back_in_time },
    Sabotage { name: "hide-row", found_by: "users-in-d", spoil: hide_row },
    Sabotage { name: "double-row", found_by: "users-in-d", spoil: double_row },
    Sabotage { name: "old-title", found_by: "products-in-d", spoil: old_title },
    Sabotage { name: "flip-digest", found_by: "d-equals-replay", spoil: flip_digest },
    Sabotage { name: "forget-in-c", found_by: "c-equals-replay", spoil: forget_in_c },
    Sabotage { name: "end-unasked", found_by: "nothing-ended-unasked", spoil: end_unasked },
];

fn same_partition(one: &Logged, other: &Logged) -> bool {
    one.topic == other.topic && one.partition == other.partition
}

/// The last record of a partition: without it there is no gap.
fn skip_sync(evidence: &mut Evidence) -> Option<()> {
    evidence.log.pop().map(drop)
}

fn drop_row(evidence: &mut Evidence) -> Option<()> {
    let at = evidence
        .log
        .windows(2)
        .position(|pair| matches!(pair, [one, other] if same_partition(one, other)))?;
    evidence.log.remove(at);
    Some(())
}

fn double_send(evidence: &mut Evidence) -> Option<()> {
    let again = evidence.log.first()?.clone();
    evidence.kills.clear();
    evidence.repeats.push(again);
    Some(())
}

fn decide_twice(evidence: &mut Evidence) -> Option<()> {
    let last = evidence.log.last()?.clone();
    evidence.log.push(Logged {
        position: last.position + 1,
        offset: last.offset + 1,
        version: last.version + 1,
        ..last
    });
    Some(())
}

fn reorder(evidence: &mut Evidence) -> Option<()> {
    let at = evidence
        .log
        .windows(2)
        .position(|pair| matches!(pair, [one, other] if same_partition(one, other)))?;
    evidence.log.swap(at, at + 1);
    Some(())
}

/// Indices of two events of one aggregate.
fn of_one_aggregate(evidence: &Evidence) -> Option<(usize, usize)> {
    evidence.log.iter().enumerate().find_map(|(first, one)| {
        let mut after = evidence.log.iter().skip(first + 1);
        let second = after.position(|other| other.aggregate == one.aggregate)?;
        Some((first, first + 1 + second))
    })
}

fn reorder_aggregate(evidence: &mut Evidence) -> Option<()> {
    let (first, second) = of_one_aggregate(evidence)?;
    let (low, high) = (evidence.log.get(first)?.position, evidence.log.get(second)?.position);
    evidence.log.swap(first, second);
    evidence.log.get_mut(first)?.position = low;
    evidence.log.get_mut(second)?.position = high;
    Some(())
}

fn wrong_order(evidence: &mut Evidence) -> Option<()> {
    let (first, second) = of_one_aggregate(evidence)?;
    let (low, high) = (evidence.log.get(first)?.correlation_id, evidence.log.get(second)?.correlation_id);
    evidence.log.get_mut(first)?.correlation_id = high;
    evidence.log.get_mut(second)?.correlation_id = low;
    Some(())
}

fn refuse_and_do(evidence: &mut Evidence) -> Option<()> {
    let command = evidence.history.commands.iter_mut().find(|command| command.accepted().is_some())?;
    for attempt in &mut command.attempts {
        attempt.outcome = Outcome::Refused { status: 409, problem: "sabotage".to_owned() };
    }
    Some(())
}

fn other_answer(evidence: &mut Evidence) -> Option<()> {
    let command = evidence.history.commands.iter_mut().find(|command| command.accepted().is_some())?;
    let mut again = command.clear()?.clone();
    let Outcome::Accepted { id, .. } = &mut again.outcome else { return None };
    *id = Uuid::nil();
    command.attempts.push(again);
    Some(())
}

fn ghost_event(evidence: &mut Evidence) -> Option<()> {
    evidence.log.last_mut()?.correlation_id = Uuid::nil();
    Some(())
}

fn garble(evidence: &mut Evidence) -> Option<()> {
    evidence.unreadable.push("users.events/0, offset 0: sabotage".to_owned());
    Some(())
}

fn twin_email(evidence: &mut Evidence) -> Option<()> {
    let mut signed_up = evidence.log.iter_mut().filter_map(|record| match &mut record.event {
        ShopEvent::User(UserEvent::SignedUp(details)) => Some((&mut record.decided_us, details)),
        _ => None,
    });
    let (first_us, first) = signed_up.next()?;
    let (second_us, second) = signed_up.next()?;
    second.email.clone_from(&first.email);
    *second_us = *first_us;
    Some(())
}

fn order_of_nobody(evidence: &mut Evidence) -> Option<()> {
    evidence.log.iter_mut().find_map(|record| match &mut record.event {
        ShopEvent::Order(OrderEvent::Placed(placed)) => {
            placed.product_id = Uuid::nil();
            Some(())
        }
        _ => None,
    })
}

fn stale_read(evidence: &mut Evidence) -> Option<()> {
    let read = evidence.history.reads.iter_mut().find(|read| read.after.is_some())?;
    read.as_of = Token::default();
    Some(())
}

fn blind_read(evidence: &mut Evidence) -> Option<()> {
    evidence.history.reads.iter_mut().find_map(|read| match (&read.after.as_ref()?.effect, &mut read.seen) {
        (Effect::Placed(id), Seen::Orders(orders)) => {
            orders.retain(|order| order.id != *id);
            Some(())
        }
        _ => None,
    })
}

fn back_in_time(evidence: &mut Evidence) -> Option<()> {
    let reads = &mut evidence.history.reads;
    let mut early =
        reads.iter().find(|read| matches!(&read.seen, Seen::Orders(orders) if !orders.is_empty()))?.clone();
    let Seen::Orders(orders) = &mut early.seen else { return None };
    orders.pop();
    early.after = None;
    // Right after the read that saw the order.
    early.began_us += 1;
    reads.push(early);
    Some(())
}

/// The orders of some user in D's last answer.
fn orders_in_d(evidence: &mut Evidence) -> Option<&mut Vec<crate::history::SeenOrder>> {
    evidence.users.values_mut().find_map(|seen| match seen {
        Seen::Orders(orders) if !orders.is_empty() => Some(orders),
        _ => None,
    })
}

fn hide_row(evidence: &mut Evidence) -> Option<()> {
    orders_in_d(evidence)?.pop().map(drop)
}

fn double_row(evidence: &mut Evidence) -> Option<()> {
    let orders = orders_in_d(evidence)?;
    orders.push(orders.last()?.clone());
    Some(())
}

fn old_title(evidence: &mut Evidence) -> Option<()> {
    evidence.products.values_mut().flatten().next()?.title = Some("sabotage".to_owned());
    Some(())
}

fn flip_digest(evidence: &mut Evidence) -> Option<()> {
    evidence.verified.same = false;
    Some(())
}

fn forget_in_c(evidence: &mut Evidence) -> Option<()> {
    *evidence.standing.values_mut().next()? = Standing::Unknown;
    Some(())
}

fn end_unasked(evidence: &mut Evidence) -> Option<()> {
    evidence.unasked.push("users ended: sabotage".to_owned());
    Some(())
}

/// Names of all faults, for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|sabotage| sabotage.name).chain(["all"]).collect()
}
