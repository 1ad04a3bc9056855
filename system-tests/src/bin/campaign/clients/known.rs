//! What clients know to be there, because somebody was told so. Deleted things stay in it: asking for them is a case too.

use std::collections::VecDeque;

use daybook_event::token::Token;
use rand::RngExt;
use rand::rngs::StdRng;
use uuid::Uuid;

/// Newest things that are chosen from; it also keeps a user's orders below a page of D's.
const USERS_MAX: usize = 60;
const PRODUCTS_MAX: usize = 40;
const ORDERS_MAX: usize = 200;

/// Something that a service made.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    /// Its id.
    pub(super) id: Uuid,
    /// Positions of its first event.
    pub(super) token: String,
}

/// The newest users, products and orders.
#[derive(Debug, Default)]
pub(super) struct Known {
    users: VecDeque<Thing>,
    users_made: usize,
    products: VecDeque<Thing>,
    orders: VecDeque<(Uuid, Uuid)>,
}

impl Known {
    pub(super) fn add_user(&mut self, id: Uuid, token: &Token) {
        self.users_made += 1;
        add(&mut self.users, Thing { id, token: token.to_string() }, USERS_MAX);
    }

    /// How many users there ever were.
    pub(super) fn users_made(&self) -> usize {
        self.users_made
    }

    pub(super) fn add_product(&mut self, id: Uuid, token: &Token) {
        add(&mut self.products, Thing { id, token: token.to_string() }, PRODUCTS_MAX);
    }

    /// `user` ordered.
    pub(super) fn add_order(&mut self, id: Uuid, user: Uuid) {
        add(&mut self.orders, (id, user), ORDERS_MAX);
    }

    pub(super) fn user(&self, random: &mut StdRng) -> Option<Thing> {
        any(&self.users, random).cloned()
    }

    pub(super) fn product(&self, random: &mut StdRng) -> Option<Thing> {
        any(&self.products, random).cloned()
    }

    /// An order and its user.
    pub(super) fn order(&self, random: &mut StdRng) -> Option<(Uuid, Uuid)> {
        any(&self.orders, random).copied()
    }
}

fn add<T>(to: &mut VecDeque<T>, new: T, max: usize) {
    to.push_back(new);
    if to.len() > max {
        to.pop_front();
    }
}

fn any<'k, T>(of: &'k VecDeque<T>, random: &mut StdRng) -> Option<&'k T> {
    if of.is_empty() { None } else { of.get(random.random_range(0..of.len())) }
}
