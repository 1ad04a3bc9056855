//! Commands against the log: what was acknowledged is there once, what was not is there once at most.

use std::collections::BTreeMap;

use daybook_event::token::TokenPosition;
use schemas::{OrderEvent, ShopEvent};
use uuid::Uuid;

use super::Judged;
use crate::evidence::{Evidence, Logged};
use crate::history::{Command, Outcome, UNKNOWN};

type Written<'e> = BTreeMap<Uuid, Vec<&'e Logged>>;

fn by_command(evidence: &Evidence) -> Written<'_> {
    let mut written = Written::new();
    for record in &evidence.log {
        written.entry(record.correlation_id).or_default().push(record);
    }
    written
}

fn places(records: &[&Logged]) -> String {
    let places: Vec<_> = records.iter().map(|record| record.place()).collect();
    if places.is_empty() { "nowhere".to_owned() } else { places.join(" and ") }
}

/// Every acknowledged command has one record, where its token says. What else the token names tells of the order's user and
/// product.
pub(super) fn acknowledged_once(evidence: &Evidence) -> Judged {
    let written = by_command(evidence);
    let at = |record: &Logged| (record.topic.clone(), record.partition, record.position);
    let about: BTreeMap<_, _> = evidence.log.iter().map(|record| (at(record), record.aggregate)).collect();
    let mut judged = Judged::default();
    for command in &evidence.history.commands {
        let Some((token, id)) = command.accepted() else { continue };
        let records = written.get(&command.id).map_or(&[][..], Vec::as_slice);
        let right = match records {
            [record] => {
                let (own, others): (Vec<_>, Vec<_>) =
                    token.positions.iter().partition(|at| at.topic == record.topic);
                let promised = own.iter().all(|own| place_of(own) == at(record)) && record.aggregate == id;
                let rests_on = rests_on(&record.event);
                let known = |other: &&TokenPosition| {
                    about.get(&place_of(other)).is_some_and(|about| rests_on.contains(about))
                };
                own.len() == 1 && promised && others.len() == rests_on.len() && others.iter().all(known)
            }
            _ => false,
        };
        let wrong =
            (!right).then(|| format!("acknowledged with {token}, but in the log {}", places(records)));
        judged.case(wrong, &[command.id, id]);
    }
    judged
}

fn place_of(at: &TokenPosition) -> (String, i32, u64) {
    (at.topic.clone(), at.partition, at.position)
}

/// Aggregates of other services without which there would be no such event.
fn rests_on(event: &ShopEvent) -> Vec<Uuid> {
    match event {
        ShopEvent::Order(OrderEvent::Placed(order)) => vec![order.user_id, order.product_id],
        ShopEvent::Order(OrderEvent::Cancelled(order)) => vec![order.user_id, order.product_id],
        ShopEvent::User(_) | ShopEvent::Product(_) => Vec::new(),
    }
}

/// A command that got no answer has one record at most; one that was refused has none.
pub(super) fn unacknowledged_at_most_once(evidence: &Evidence) -> Judged {
    let written = by_command(evidence);
    let mut judged = Judged::default();
    for command in evidence.history.commands.iter().filter(|command| command.accepted().is_none()) {
        let records = written.get(&command.id).map_or(&[][..], Vec::as_slice);
        let records_max = usize::from(command.may_have_been_taken());
        let said = if records_max == 0 { "refused" } else { "not acknowledged" };
        let wrong =
            (records.len() > records_max).then(|| format!("{said}, but in the log {}", places(records)));
        judged.case(wrong, &[command.id]);
    }
    judged
}

/// Whoever repeats a command with its key gets the first answer again, once there was one that is kept.
pub(super) fn same_key_same_answer(evidence: &Evidence) -> Judged {
    let mut judged = Judged::default();
    for command in &evidence.history.commands {
        let mut answers = command.attempts.iter().map(|attempt| &attempt.outcome);
        let Some(first) = answers.find(|outcome| outcome.is_clear()) else { continue };
        for again in answers.filter(|outcome| outcome.is_answer()) {
            let wrong = (again != first).then(|| format!("answered {first:?} first and {again:?} later"));
            judged.case(wrong, &[command.id]);
        }
    }
    judged
}

/// No event is in the log that nobody asked for.
pub(super) fn every_event_asked_for(evidence: &Evidence) -> Judged {
    let asked: BTreeMap<_, _> =
        evidence.history.commands.iter().map(|command| (command.id, command)).collect();
    let mut judged = Judged::default();
    for record in &evidence.log {
        let known = asked.contains_key(&record.correlation_id);
        let wrong = (!known).then(|| format!("{} belongs to no command", record.place()));
        judged.case(wrong, &[record.correlation_id, record.aggregate]);
    }
    judged
}

/// Nobody is told that there never was what somebody had been told to be there.
pub(super) fn known_stays_known(evidence: &Evidence) -> Judged {
    let made: BTreeMap<_, _> = evidence.history.commands.iter().filter_map(made).collect();
    let mut judged = Judged::default();
    for command in &evidence.history.commands {
        let Some(id) = command.on else { continue };
        let Some((made, _)) = made.get(&id).filter(|(_, ended_us)| *ended_us < command.began_us()) else {
            continue;
        };
        let wrong = match command.clear().map(|clear| &clear.outcome) {
            Some(Outcome::Refused { problem, .. }) if problem.ends_with(UNKNOWN) => {
                Some(format!("refused with {problem} long after it was made"))
            }
            _ => None,
        };
        judged.case(wrong, &[id, *made, command.id]);
    }
    judged
}

/// What a command made; which command it was, and when that was known.
fn made(command: &Command) -> Option<(Uuid, (Uuid, u64))> {
    let (_, id) = command.accepted().filter(|_| command.on.is_none())?;
    Some((id, (command.id, command.clear()?.ended_us)))
}

/// Of two commands on one aggregate, the one that was answered before the other was sent has the lower version.
pub(super) fn order_kept(evidence: &Evidence) -> Judged {
    let written = by_command(evidence);
    let version = |command: &Command| Some(written.get(&command.id)?.first()?.version);
    let mut by_aggregate: BTreeMap<Uuid, Vec<(&Command, u64, u64)>> = BTreeMap::new();
    for command in &evidence.history.commands {
        let Some((_, id)) = command.accepted() else { continue };
        let Some(version) = version(command) else { continue };
        let ended_us = command.clear().map_or(0, |attempt| attempt.ended_us);
        by_aggregate.entry(id).or_default().push((command, version, ended_us));
    }
    let mut judged = Judged::default();
    for (id, commands) in &by_aggregate {
        for (earlier, low, ended_us) in commands {
            for (later, high, _) in commands.iter().filter(|(later, ..)| *ended_us < later.began_us()) {
                let wrong = (low >= high).then(|| {
                    format!("a command was answered before another was sent, but their versions are {low} and {high}")
                });
                judged.case(wrong, &[*id, earlier.id, later.id]);
            }
        }
    }
    judged
}
