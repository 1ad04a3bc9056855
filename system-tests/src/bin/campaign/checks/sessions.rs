//! Sessions: all reads of one client, over all routes, one after the other.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Judged;
use super::account::Account;
use crate::evidence::Evidence;
use crate::history::{Question, Read, Seen};

/// No client sees less of anything than it has seen before, whatever it asks for.
pub(super) fn never_go_back(evidence: &Evidence) -> Judged {
    let account = Account::of(evidence);
    let mut reads: Vec<&Read> = evidence.history.reads.iter().collect();
    // A client asks one question after the other.
    reads.sort_by_key(|read| read.began_us);
    let mut sessions: BTreeMap<usize, Session<'_>> = BTreeMap::new();
    let mut judged = Judged::default();
    for read in reads {
        let wrong = sessions.entry(read.client).or_default().next(read, &account);
        let (client, question) = (read.client, read.question);
        match wrong {
            Some(Back { what, about }) => {
                judged.case(Some(format!("client {client} asked for {question:?}: {what}")), &about);
            }
            None => judged.case(None, &[]),
        }
    }
    judged
}

/// What a client has seen so far.
#[derive(Default)]
struct Session<'e> {
    /// The highest position that an answer named, by topic and partition.
    as_of: BTreeMap<(&'e str, i32), u64>,
    users: BTreeMap<Uuid, SeenUser>,
    products: BTreeMap<Uuid, SeenSoFar>,
}

/// What a client has seen of a user.
#[derive(Default)]
struct SeenUser {
    was_there: bool,
    is_gone: bool,
    /// How many events of the user's orders it has seen at least.
    events: usize,
}

/// What a client has seen of a product.
#[derive(Default)]
struct SeenSoFar {
    /// How many titles it has seen at least; none if nothing was known of it.
    titles: usize,
    discontinued: bool,
}

/// How an answer goes back, and users and products that it is about.
struct Back {
    what: String,
    about: Vec<Uuid>,
}

impl<'e> Session<'e> {
    /// Takes the next answer, and says how it goes back.
    fn next(&mut self, read: &'e Read, account: &Account<'_>) -> Option<Back> {
        let asked = match read.question {
            Question::Orders(id) | Question::Purchases(id) | Question::Product(id) => vec![id],
            Question::Products => Vec::new(),
        };
        // Everything is taken note of, also where something else is wrong.
        let positions = self.positions(read);
        let user = read.question.user().and_then(|user| self.user(user, &read.seen, account));
        let what = positions.or(user).or_else(|| self.unknown(read));
        let products = read.products().into_iter().filter_map(|shown| self.product(shown, account));
        let products = products.reduce(|first, _| first);
        what.map(|what| Back { what, about: asked }).or(products)
    }

    fn positions(&mut self, read: &'e Read) -> Option<String> {
        let mut wrong = None;
        for at in &read.as_of.positions {
            let highest = self.as_of.entry((&at.topic, at.partition)).or_default();
            if at.position < *highest {
                let (topic, partition, position) = (&at.topic, at.partition, at.position);
                wrong = Some(format!("{topic}/{partition} went back from {highest} to {position}"));
            }
            *highest = at.position.max(*highest);
        }
        wrong
    }

    fn user(&mut self, user: Uuid, seen: &Seen, account: &Account<'_>) -> Option<String> {
        let known = self.users.entry(user).or_default();
        if *seen == Seen::Nothing {
            known.is_gone |= known.was_there;
            return None;
        }
        known.was_there = true;
        if known.is_gone {
            return Some("a user who was gone is back".to_owned());
        }
        let Some(events) = account.orders_shown(user, seen, known.events) else {
            let (least, all) = (known.events, account.orders(user).len());
            return Some(format!("orders as after none of {least} to {all} events of the user: {seen:?}"));
        };
        known.events = events;
        None
    }

    /// A product that was known is none any more.
    fn unknown(&self, read: &Read) -> Option<String> {
        let Question::Product(product) = read.question else { return None };
        let known = self.products.get(&product).is_some_and(|known| known.titles > 0);
        (known && read.seen == Seen::Nothing).then(|| "the product is unknown again".to_owned())
    }

    fn product(
        &mut self,
        (product, title, discontinued): (Uuid, Option<&str>, Option<bool>),
        account: &Account<'_>,
    ) -> Option<Back> {
        let known = self.products.entry(product).or_default();
        let back = |what| Some(Back { what, about: vec![product] });
        match title.map(|title| account.titles_shown(product, title, known.titles)) {
            None if known.titles > 0 => return back(format!("{product} has no title any more")),
            None => {}
            Some(Some(titles)) => known.titles = titles,
            Some(None) => {
                let had = account.titles(product).get(known.titles.saturating_sub(1)..).unwrap_or_default();
                return back(format!("{product} is called {title:?}, which is none of {had:?}"));
            }
        }
        if known.discontinued && discontinued == Some(false) {
            return back(format!("{product} is sold again"));
        }
        known.discontinued |= discontinued == Some(true);
        None
    }
}
