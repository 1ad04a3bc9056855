//! Reads while the campaign went on.

use std::collections::BTreeMap;

use daybook_event::token::Token;
use schemas::OrderEvent;
use uuid::Uuid;

use super::Judged;
use super::account::Account;
use crate::evidence::Evidence;
use crate::history::{After, Asked, Effect, Question, Read, Seen, SeenOrder};

/// Every read with a token saw that write, and the user whose it is.
pub(super) fn see_their_write(evidence: &Evidence) -> Judged {
    let (account, deletions) = (Account::of(evidence), deletions(evidence));
    let mut judged = Judged::default();
    for read in &evidence.history.reads {
        let Some(after) = &read.after else { continue };
        let gone_us = read.question.user().and_then(|user| deletions.get(&user));
        let may_be_gone = gone_us.is_some_and(|began_us| *began_us < read.ended_us);
        let wrong = not_reached(&after.token, &read.as_of)
            .or_else(|| {
                (!may_be_gone && read.seen == Seen::Nothing).then(|| nothing(after, read.question)).flatten()
            })
            .or_else(|| not_seen(read, after, &account));
        let about = match (&after.effect, read.question) {
            (Effect::Titled(product, _) | Effect::Discontinued(product), _) => Some(*product),
            (_, question) => question.user(),
        };
        judged.case(
            wrong.map(|wrong| format!("{:?} was read after {}: {wrong}", read.question, after.token)),
            about.as_slice(),
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

/// Why something should have been there, where nobody may have removed it. That a product was changed says nothing of a user.
fn nothing(after: &After, question: Question) -> Option<String> {
    let of_product = matches!(after.effect, Effect::Titled(..) | Effect::Discontinued(_));
    let rightly = after.effect == Effect::Deleted || of_product && question.user().is_some();
    (!rightly).then(|| "there is no such user or product".to_owned())
}

fn not_reached(token: &Token, as_of: &Token) -> Option<String> {
    let reached = as_of.positions.iter();
    let behind = |at: &&daybook_event::token::TokenPosition| {
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

fn not_seen(read: &Read, after: &After, account: &Account<'_>) -> Option<String> {
    match &after.effect {
        Effect::SignedUp => None,
        Effect::Deleted => (read.seen != Seen::Nothing).then(|| "the user is still there".to_owned()),
        Effect::Placed(id) | Effect::Cancelled(id) => match &read.seen {
            Seen::Orders(orders) => order_not_seen(orders, *id, &after.effect),
            Seen::Purchases(_) => purchase_not_seen(read, *id, &after.effect, account),
            Seen::Products(_) | Seen::Nothing => None,
        },
        Effect::Titled(product, title) => {
            let least = account.titles_shown(*product, title, 0)?;
            let early = |shown: &str| account.titles_shown(*product, shown, least).is_none();
            let mut shown = read.products().into_iter().filter(|(id, ..)| id == product);
            let (_, title, _) = shown.find(|(_, title, _)| title.is_none_or(early))?;
            Some(format!("{product} is called {title:?}"))
        }
        Effect::Discontinued(product) => {
            let shown = read.products().into_iter().find(|(id, ..)| id == product)?;
            (shown.2 == Some(false)).then(|| format!("{product} is still sold"))
        }
    }
}

fn order_not_seen(orders: &[SeenOrder], id: Uuid, effect: &Effect) -> Option<String> {
    let Some(order) = orders.iter().find(|order| order.id == id) else {
        return Some(format!("order {id} is not there"));
    };
    let should_be_cancelled = matches!(effect, Effect::Cancelled(_));
    (should_be_cancelled && !order.cancelled).then(|| format!("order {id} is not cancelled"))
}

/// Purchases do not name their orders; but they are those of one moment, and that must be after the event.
fn purchase_not_seen(read: &Read, id: Uuid, effect: &Effect, account: &Account<'_>) -> Option<String> {
    let user = read.question.user()?;
    let is_it = |event: &OrderEvent| match event {
        OrderEvent::Placed(placed) => placed.order_id == id && matches!(effect, Effect::Placed(_)),
        OrderEvent::Cancelled(cancelled) => {
            cancelled.order_id == id && matches!(effect, Effect::Cancelled(_))
        }
    };
    let least = account.orders(user).iter().position(|event| is_it(event))? + 1;
    let shown = account.orders_shown(user, &read.seen, least);
    shown.is_none().then(|| format!("{effect:?} is not in the purchases {:?}", read.seen))
}
