//! Answers of D as a faulty one would have given them.

use daybook_event::Event as _;
use daybook_event::token::Token;
use schemas::{OrderEvent, ProductEvent, ShopEvent};
use uuid::Uuid;

use crate::evidence::{Evidence, Quiet};
use crate::history::{Effect, Question, Read, Seen, SeenProduct};

pub(super) fn stale_read(evidence: &mut Evidence) -> Option<()> {
    let read = evidence.history.reads.iter_mut().find(|read| read.after.is_some())?;
    read.as_of = Token::default();
    Some(())
}

pub(super) fn blind_read(evidence: &mut Evidence) -> Option<()> {
    evidence.history.reads.iter_mut().find_map(|read| match (&read.after.as_ref()?.effect, &mut read.seen) {
        (Effect::Placed(id), Seen::Orders(orders)) => {
            orders.retain(|order| order.id != *id);
            Some(())
        }
        _ => None,
    })
}

pub(super) fn blind_title(evidence: &mut Evidence) -> Option<()> {
    evidence.history.reads.iter_mut().find_map(|read| match (&read.after.as_ref()?.effect, &mut read.seen) {
        (Effect::Titled(titled, _), Seen::Products(products)) => {
            let (_, product) = products.iter_mut().find(|(id, _)| id == titled)?;
            product.title = None;
            Some(())
        }
        _ => None,
    })
}

pub(super) fn back_in_time(evidence: &mut Evidence) -> Option<()> {
    let orders_of = |read: &Read| match &read.seen {
        Seen::Orders(orders) if !orders.is_empty() => Some(orders.clone()),
        _ => None,
    };
    let (read, mut orders) = evidence.history.reads.iter().find_map(|read| Some((read, orders_of(read)?)))?;
    orders.pop();
    let next = right_after(read, read.question, Seen::Orders(orders));
    evidence.history.reads.push(next);
    Some(())
}

pub(super) fn older_purchases(evidence: &mut Evidence) -> Option<()> {
    let reads = evidence.history.reads.iter();
    let next = reads.filter(|read| !has_cancelled(evidence, read)).find_map(|read| {
        let Seen::Purchases(purchases) = &read.seen else { return None };
        // Of the newest one there was less, or nothing, before.
        let (_, earlier) = purchases.split_last()?;
        Some(right_after(read, read.question, Seen::Purchases(earlier.to_vec())))
    })?;
    evidence.history.reads.push(next);
    Some(())
}

/// Whether the user whom a read is about took an order back: what was shown before may then be right again.
fn has_cancelled(evidence: &Evidence, read: &Read) -> bool {
    let mut events = evidence.log.iter().map(|record| &record.event);
    let of_user = |event: &OrderEvent| Some(event.key()) == read.question.user();
    events.any(|event| matches!(event, ShopEvent::Order(event @ OrderEvent::Cancelled(_)) if of_user(event)))
}

pub(super) fn older_title(evidence: &mut Evidence) -> Option<()> {
    let reads = evidence.history.reads.iter();
    let next = reads.filter(|read| read.question.user().is_some()).find_map(|read| {
        let shown = read.products().into_iter().find_map(|(product, title, _)| {
            let titles = titles(evidence, product);
            let index = titles.iter().position(|had| Some(*had) == title)?;
            Some((product, titles.get(index.checked_sub(1)?)?.to_string()))
        });
        let (product, title) = shown?;
        let row = SeenProduct { title: Some(title), discontinued: false };
        Some(right_after(read, Question::Product(product), Seen::Products(vec![(product, row)])))
    })?;
    evidence.history.reads.push(next);
    Some(())
}

fn titles(evidence: &Evidence, product: Uuid) -> Vec<&str> {
    let title = |event| match event {
        &ShopEvent::Product(ProductEvent::Created(ref now) | ProductEvent::Changed(ref now)) => {
            (now.product_id == product).then_some(now.title.as_str())
        }
        _ => None,
    };
    evidence.log.iter().filter_map(|record| title(&record.event)).collect()
}

pub(super) fn as_of_back(evidence: &mut Evidence) -> Option<()> {
    let read =
        evidence.history.reads.iter().find(|read| read.as_of.positions.iter().any(|at| at.position > 0))?;
    let mut next = right_after(read, read.question, read.seen.clone());
    next.as_of.positions.iter_mut().for_each(|at| at.position = at.position.saturating_sub(1));
    evidence.history.reads.push(next);
    Some(())
}

pub(super) fn stand_still(evidence: &mut Evidence) -> Option<()> {
    // One broker alone was never away: then it is as if it had been all the time.
    let quiet = *evidence.quiet.first().unwrap_or(&Quiet { from_us: 0, to_us: u64::MAX });
    evidence.quiet = vec![quiet];
    evidence.history.reads.retain(|read| !quiet.holds(read.began_us, read.ended_us));
    Some(())
}

/// What the same client asked next, and saw.
fn right_after(read: &Read, question: Question, seen: Seen) -> Read {
    Read { began_us: read.began_us + 1, after: None, question, seen, ..read.clone() }
}
