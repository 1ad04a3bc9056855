//! What the log says of each user's orders and each product's titles, one event after the other. Whatever D answers has to be
//! one of these states, and of two answers to one client the later one may not show the earlier state.

use std::collections::BTreeMap;

use daybook_event::Event as _;
use schemas::{OrderEvent, ProductEvent, ShopEvent};
use uuid::Uuid;

use crate::evidence::Evidence;
use crate::history::{Seen, SeenOrder, SeenPurchase};

/// The log by user and by product.
pub(super) struct Account<'e> {
    orders: BTreeMap<Uuid, Vec<&'e OrderEvent>>,
    titles: BTreeMap<Uuid, Vec<&'e str>>,
}

impl<'e> Account<'e> {
    pub(super) fn of(evidence: &'e Evidence) -> Self {
        let mut account = Self { orders: BTreeMap::new(), titles: BTreeMap::new() };
        for record in &evidence.log {
            match &record.event {
                ShopEvent::Order(event) => account.orders.entry(event.key()).or_default().push(event),
                ShopEvent::Product(ProductEvent::Created(now) | ProductEvent::Changed(now)) => {
                    account.titles.entry(now.product_id).or_default().push(&now.title);
                }
                ShopEvent::Product(ProductEvent::Discontinued(_)) | ShopEvent::User(_) => {}
            }
        }
        account
    }

    /// All titles that a product ever had, the newest last.
    pub(super) fn titles(&self, product: Uuid) -> &[&'e str] {
        self.titles.get(&product).map_or(&[], Vec::as_slice)
    }

    /// Everything that was done to a user's orders, in order.
    pub(super) fn orders(&self, user: Uuid) -> &[&'e OrderEvent] {
        self.orders.get(&user).map_or(&[], Vec::as_slice)
    }

    /// How many titles a product had had when it was shown with `title`; no fewer than `at_least`.
    pub(super) fn titles_shown(&self, product: Uuid, title: &str, at_least: usize) -> Option<usize> {
        let mut had = self.titles(product).iter().zip(1..);
        had.find(|(had, count)| **had == title && *count >= at_least).map(|(_, count)| count)
    }

    /// How few of the events of a user's orders make an answer of it, if no fewer than `at_least` do.
    pub(super) fn orders_shown(&self, user: Uuid, seen: &Seen, at_least: usize) -> Option<usize> {
        let mut orders = Vec::new();
        let shows = |count: usize, orders: &[SeenOrder]| count >= at_least && shows(orders, seen);
        if shows(0, &orders) {
            return Some(0);
        }
        for (event, count) in self.orders(user).iter().zip(1..) {
            add(&mut orders, event);
            if shows(count, &orders) {
                return Some(count);
            }
        }
        None
    }

    /// A user's orders after all events, with the newest titles.
    pub(super) fn orders_in_the_end(&self, user: Uuid) -> Vec<SeenOrder> {
        let mut orders = Vec::new();
        self.orders(user).iter().for_each(|event| add(&mut orders, event));
        for order in &mut orders {
            order.title = self.titles(order.product).last().map(|title| (*title).to_owned());
        }
        orders
    }
}

/// What an event does to a user's orders. Titles come from elsewhere.
fn add(orders: &mut Vec<SeenOrder>, event: &OrderEvent) {
    match event {
        OrderEvent::Placed(placed) => orders.push(SeenOrder {
            id: placed.order_id,
            product: placed.product_id,
            title: None,
            quantity: placed.quantity.get(),
            cancelled: false,
        }),
        OrderEvent::Cancelled(cancelled) => {
            let of_it = orders.iter_mut().filter(|order| order.id == cancelled.order_id);
            of_it.for_each(|order| order.cancelled = true);
        }
    }
}

/// Whether an answer shows these orders, whatever the products are called in it.
fn shows(orders: &[SeenOrder], seen: &Seen) -> bool {
    match seen {
        Seen::Orders(seen) => {
            let same = |(order, seen): (&SeenOrder, &SeenOrder)| {
                let shown = |order: &SeenOrder| (order.id, order.product, order.quantity, order.cancelled);
                shown(order) == shown(seen)
            };
            orders.len() == seen.len() && orders.iter().zip(seen).all(same)
        }
        Seen::Purchases(seen) => {
            let shown = |seen: &SeenPurchase| (seen.product.0, seen.orders, seen.quantity);
            seen.iter().map(shown).eq(purchases(orders))
        }
        Seen::Products(_) | Seen::Nothing => false,
    }
}

/// Orders by product, in the order of the first one: product, orders, pieces. Those that were taken back count for nothing.
fn purchases(orders: &[SeenOrder]) -> Vec<(Uuid, u64, u64)> {
    let mut purchases: Vec<(Uuid, u64, u64)> = Vec::new();
    for order in orders.iter().filter(|order| !order.cancelled) {
        let (product, quantity) = (order.product, u64::from(order.quantity));
        match purchases.iter_mut().find(|(of, ..)| *of == product) {
            Some((_, orders, pieces)) => (*orders, *pieces) = (*orders + 1, *pieces + quantity),
            None => purchases.push((product, 1, quantity)),
        }
    }
    purchases
}
