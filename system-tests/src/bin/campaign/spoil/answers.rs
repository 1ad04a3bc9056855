//! Answers as a faulty service would have given them.

use uuid::Uuid;

use crate::evidence::{Evidence, Standing};
use crate::history::{Asked, Outcome, Seen, SeenOrder};

pub(super) fn refuse_and_do(evidence: &mut Evidence) -> Option<()> {
    let command = evidence.history.commands.iter_mut().find(|command| command.accepted().is_some())?;
    for attempt in &mut command.attempts {
        attempt.outcome = Outcome::Refused { status: 409, problem: "spoiled".to_owned() };
    }
    Some(())
}

pub(super) fn forget_user(evidence: &mut Evidence) -> Option<()> {
    let mut done = evidence.history.commands.iter_mut().rev();
    let command = done.find(|command| command.on.is_some() && command.accepted().is_some())?;
    for attempt in &mut command.attempts {
        attempt.outcome = Outcome::Refused { status: 404, problem: "spoiled-unknown".to_owned() };
    }
    Some(())
}

pub(super) fn other_answer(evidence: &mut Evidence) -> Option<()> {
    let command = evidence.history.commands.iter_mut().find(|command| command.accepted().is_some())?;
    let mut again = command.clear()?.clone();
    let Outcome::Accepted { id, .. } = &mut again.outcome else { return None };
    *id = Uuid::nil();
    command.attempts.push(again);
    Some(())
}

pub(super) fn forget_order(evidence: &mut Evidence) -> Option<()> {
    let mut commands = evidence.history.commands.iter_mut();
    let order = commands
        .find(|command| matches!(command.asked, Asked::Order { .. }) && command.accepted().is_some())?;
    let mut again = order.clear()?.clone();
    again.outcome = Outcome::Refused { status: 422, problem: "spoiled-unknown".to_owned() };
    order.attempts.push(again);
    Some(())
}

/// The orders of some user in D's last answer.
fn orders_in_d(evidence: &mut Evidence) -> Option<&mut Vec<SeenOrder>> {
    evidence.users.values_mut().find_map(|seen| match seen {
        Seen::Orders(orders) if !orders.is_empty() => Some(orders),
        _ => None,
    })
}

pub(super) fn hide_row(evidence: &mut Evidence) -> Option<()> {
    orders_in_d(evidence)?.pop().map(drop)
}

pub(super) fn double_row(evidence: &mut Evidence) -> Option<()> {
    let orders = orders_in_d(evidence)?;
    orders.push(orders.last()?.clone());
    Some(())
}

pub(super) fn old_title(evidence: &mut Evidence) -> Option<()> {
    evidence.products.values_mut().flatten().next()?.title = Some("spoiled".to_owned());
    Some(())
}

pub(super) fn flip_digest(evidence: &mut Evidence) -> Option<()> {
    evidence.verified.last_mut()?.same = false;
    Some(())
}

pub(super) fn forget_in_c(evidence: &mut Evidence) -> Option<()> {
    *evidence.standing.values_mut().next()? = Standing::Unknown;
    Some(())
}

pub(super) fn end_unasked(evidence: &mut Evidence) -> Option<()> {
    evidence.unasked.push("users ended: spoiled".to_owned());
    Some(())
}

pub(super) fn keep_silent(evidence: &mut Evidence) -> Option<()> {
    evidence.missing.push("query-api: no answer that rests on the whole log".to_owned());
    Some(())
}
