//! Reads while the campaign went on.

use std::collections::BTreeMap;

use schemas::token::Token;
use uuid::Uuid;

use super::Judged;
use crate::evidence::Evidence;
use crate::history::{After, Asked, Effect, Read, Seen, SeenOrder};

/// Every read with a token saw that write, and the user whose it is.
pub(super) fn see_their_write(evidence: &Evidence) -> Judged {
    let deletions = deletions(evidence);
    let mut judged = Judged::default();
    for read in &evidence.history.reads {
        let Some(after) = &read.after else { continue };
        let may_be_gone = deletions.get(&read.user).is_some_and(|began_us| *began_us < read.ended_us);
        let wrong =
            not_reached(&after.token, &read.as_of).or_else(|| not_seen(after, &read.seen, may_be_gone));
        judged.case(
            wrong.map(|wrong| format!("a read of {} after {}: {wrong}", read.user, after.token)),
            &[read.user],
        );
    }
    judged
}

/// When each user's deletion was first asked for.
fn deletions(evidence: &Evidence) -> BTreeMap<Uuid, u64> {
    let mut deletions = BTreeMap::new();
    for command in evidence.history.commands.iter().filter(|command| command.asked == Asked::DeleteUser) {
        let Some(user) = command.on else { continue };
        let began_us = deletions.entry(user).or_insert(u64::MAX);
        *began_us = command.began_us().min(*began_us);
    }
    deletions
}

fn not_reached(token: &Token, as_of: &Token) -> Option<String> {
    let reached = as_of.positions.iter();
    let behind = |at: &&schemas::token::TokenPosition| {
        !reached
            .clone()
            .any(|to| to.topic == at.topic && to.partition == at.partition && to.position >= at.position)
    };
    let behind = token.positions.iter().find(behind)?;
    Some(format!(
        "the answer rests on {as_of}, which is before {}/{}@{}",
        behind.topic, behind.partition, behind.position
    ))
}

fn not_seen(after: &After, seen: &Seen, may_be_gone: bool) -> Option<String> {
    let orders = match (seen, after.effect) {
        (Seen::NoUser, Effect::Deleted) => return None,
        (Seen::NoUser, _) => return (!may_be_gone).then(|| "there is no such user".to_owned()),
        (Seen::Orders(_), Effect::Deleted) => return Some("the user is still there".to_owned()),
        (Seen::Orders(orders), _) => orders,
    };
    let find = |id: Uuid| orders.iter().find(|order| order.id == id);
    match after.effect {
        Effect::SignedUp | Effect::Deleted => None,
        Effect::Placed(id) => find(id).is_none().then(|| format!("order {id} is not there")),
        Effect::Cancelled(id) => {
            (!find(id).is_some_and(|order| order.cancelled)).then(|| format!("order {id} is not cancelled"))
        }
    }
}

/// No client sees less of a user than it has seen before.
pub(super) fn never_go_back(evidence: &Evidence) -> Judged {
    let mut sessions: BTreeMap<(usize, Uuid), Vec<&Read>> = BTreeMap::new();
    for read in &evidence.history.reads {
        sessions.entry((read.client, read.user)).or_default().push(read);
    }
    let mut judged = Judged::default();
    for ((client, user), reads) in &mut sessions {
        reads.sort_by_key(|read| read.began_us);
        let mut was_there = false;
        for pair in reads.windows(2) {
            let [before, now] = pair else { continue };
            was_there |= matches!(before.seen, Seen::Orders(_));
            let wrong = back(&before.as_of, &now.as_of).or_else(|| lost(&before.seen, &now.seen, was_there));
            judged.case(wrong.map(|wrong| format!("client {client} read {user} twice: {wrong}")), &[*user]);
        }
    }
    judged
}

fn back(before: &Token, now: &Token) -> Option<String> {
    let at = |token: &Token, topic: &str, partition: i32| {
        let mut same = token.positions.iter().filter(|at| at.topic == topic && at.partition == partition);
        same.next().map(|at| at.position)
    };
    let went_back =
        before.positions.iter().find(|was| at(now, &was.topic, was.partition) < Some(was.position))?;
    Some(format!("{}/{} went back from {before} to {now}", went_back.topic, went_back.partition))
}

fn lost(before: &Seen, now: &Seen, was_there: bool) -> Option<String> {
    match (before, now) {
        (Seen::Orders(before), Seen::Orders(now)) => lost_orders(before, now),
        (Seen::NoUser, Seen::Orders(_)) if was_there => Some("a user who was gone is back".to_owned()),
        _ => None,
    }
}

fn lost_orders(before: &[SeenOrder], now: &[SeenOrder]) -> Option<String> {
    for (index, was) in before.iter().enumerate() {
        let same = now.get(index).filter(|is| is.id == was.id && (is.cancelled || !was.cancelled));
        if same.is_none() {
            return Some(format!("order {} at index {index} is no longer as it was", was.id));
        }
    }
    None
}
