//! Commands against the log: what was acknowledged is there once, what was not is there once at most.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Judged;
use crate::evidence::{Evidence, Logged};
use crate::history::{Command, Outcome};

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

/// Every acknowledged command has one record, where its token says.
pub(super) fn acknowledged_once(evidence: &Evidence) -> Judged {
    let written = by_command(evidence);
    let mut judged = Judged::default();
    for command in &evidence.history.commands {
        let Some((token, id)) = command.accepted() else { continue };
        let records = written.get(&command.id).map_or(&[][..], Vec::as_slice);
        let promised = |record: &&Logged| {
            token.positions.iter().any(|at| {
                at.topic == record.topic
                    && at.partition == record.partition
                    && at.position == record.position
                    && record.aggregate == id
            })
        };
        let right = token.positions.len() == 1 && records.len() == 1 && records.iter().all(promised);
        let wrong =
            (!right).then(|| format!("acknowledged with {token}, but in the log {}", places(records)));
        judged.case(wrong, &[command.id, id]);
    }
    judged
}

/// A command without a clear answer has one record at most; one that was refused has none.
pub(super) fn unacknowledged_at_most_once(evidence: &Evidence) -> Judged {
    let written = by_command(evidence);
    let mut judged = Judged::default();
    for command in evidence.history.commands.iter().filter(|command| command.accepted().is_none()) {
        let records = written.get(&command.id).map_or(&[][..], Vec::as_slice);
        let records_max = usize::from(command.clear().is_none());
        let said = if records_max == 0 { "refused" } else { "not acknowledged" };
        let wrong =
            (records.len() > records_max).then(|| format!("{said}, but in the log {}", places(records)));
        judged.case(wrong, &[command.id]);
    }
    judged
}

/// Whoever repeats a command with its key gets the first answer again.
pub(super) fn same_key_same_answer(evidence: &Evidence) -> Judged {
    let mut judged = Judged::default();
    for command in &evidence.history.commands {
        let clear = |outcome: &&Outcome| !matches!(outcome, Outcome::Unclear { .. });
        let mut answers = command.attempts.iter().map(|attempt| &attempt.outcome).filter(clear);
        let Some(first) = answers.next() else { continue };
        for again in answers {
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
