//! A log as a faulty service would have left it.

use std::collections::BTreeSet;

use schemas::{OrderEvent, ShopEvent, UserEvent};
use uuid::Uuid;

use crate::evidence::{Evidence, Logged};

fn same_partition(one: &Logged, other: &Logged) -> bool {
    one.topic == other.topic && one.partition == other.partition
}

/// Where the last record of a partition lies, one whose command was acknowledged.
fn last_of_a_partition(evidence: &Evidence) -> Option<usize> {
    let accepted = evidence.history.commands.iter().filter(|command| command.accepted().is_some());
    let acknowledged: BTreeSet<Uuid> = accepted.map(|command| command.id).collect();
    let is_last = |(at, record): &(usize, &Logged)| {
        !evidence.log.get(at + 1).is_some_and(|next| same_partition(record, next))
    };
    let mut last = evidence.log.iter().enumerate().filter(is_last);
    last.find(|(_, record)| acknowledged.contains(&record.correlation_id)).map(|(at, _)| at)
}

/// Without the last record of a partition there is no gap.
pub(super) fn skip_sync(evidence: &mut Evidence) -> Option<()> {
    let last = last_of_a_partition(evidence)?;
    evidence.log.remove(last);
    Some(())
}

pub(super) fn drop_row(evidence: &mut Evidence) -> Option<()> {
    let at = evidence
        .log
        .windows(2)
        .position(|pair| matches!(pair, [one, other] if same_partition(one, other)))?;
    evidence.log.remove(at);
    Some(())
}

pub(super) fn double_send(evidence: &mut Evidence) -> Option<()> {
    let again = evidence.log.first()?.clone();
    evidence.repeats.push(again);
    Some(())
}

pub(super) fn decide_twice(evidence: &mut Evidence) -> Option<()> {
    let at = last_of_a_partition(evidence)?;
    let last = evidence.log.get(at)?.clone();
    let again =
        Logged { position: last.position + 1, offset: last.offset + 1, version: last.version + 1, ..last };
    evidence.log.insert(at + 1, again);
    Some(())
}

pub(super) fn reorder(evidence: &mut Evidence) -> Option<()> {
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

pub(super) fn reorder_aggregate(evidence: &mut Evidence) -> Option<()> {
    let (first, second) = of_one_aggregate(evidence)?;
    let (low, high) = (evidence.log.get(first)?.position, evidence.log.get(second)?.position);
    evidence.log.swap(first, second);
    evidence.log.get_mut(first)?.position = low;
    evidence.log.get_mut(second)?.position = high;
    Some(())
}

pub(super) fn wrong_order(evidence: &mut Evidence) -> Option<()> {
    let (first, second) = of_one_aggregate(evidence)?;
    let (low, high) = (evidence.log.get(first)?.correlation_id, evidence.log.get(second)?.correlation_id);
    evidence.log.get_mut(first)?.correlation_id = high;
    evidence.log.get_mut(second)?.correlation_id = low;
    Some(())
}

pub(super) fn ghost_event(evidence: &mut Evidence) -> Option<()> {
    evidence.log.last_mut()?.correlation_id = Uuid::nil();
    Some(())
}

pub(super) fn garble(evidence: &mut Evidence) -> Option<()> {
    evidence.unreadable.push("users.events/0, offset 0: spoiled".to_owned());
    Some(())
}

pub(super) fn twin_email(evidence: &mut Evidence) -> Option<()> {
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

pub(super) fn order_of_nobody(evidence: &mut Evidence) -> Option<()> {
    evidence.log.iter_mut().find_map(|record| match &mut record.event {
        ShopEvent::Order(OrderEvent::Placed(placed)) => {
            placed.product_id = Uuid::nil();
            Some(())
        }
        _ => None,
    })
}
