//! A user's orders gathered by product. Pure.

use std::collections::HashMap;

use projector::orders::Order;
use uuid::Uuid;

/// One product that a user has ordered, over all orders that were not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderedProduct {
    pub product_id: Uuid,
    pub quantity: u64,
    pub orders: u64,
    /// Position of the first purchase.
    pub first_position: u64,
    /// Time of the first purchase, in microseconds since 1970.
    pub first_ordered_at_us: i64,
    /// Time of the last purchase, in microseconds since 1970.
    pub last_ordered_at_us: i64,
}

/// Products of one user, in the order of the first purchase.
#[derive(Debug, Default)]
pub struct Gathered {
    index: HashMap<Uuid, usize>,
    products: Vec<OrderedProduct>,
}

impl Gathered {
    /// Gathers orders that stand in the order of placing.
    pub fn from_orders(orders: &[Order]) -> Self {
        // As many as there can be, so that nothing moves while it grows.
        let room = orders.len();
        let mut gathered = Self { index: HashMap::with_capacity(room), products: Vec::with_capacity(room) };
        orders.iter().for_each(|order| gathered.add(order));
        gathered
    }

    /// Adds an order that was placed after all those added before.
    pub fn add(&mut self, order: &Order) {
        if order.cancelled_at_us.is_some() {
            return;
        }
        let index = *self.index.entry(order.product_id).or_insert(self.products.len());
        match self.products.get_mut(index) {
            Some(product) => product.add(order),
            None => self.products.push(OrderedProduct::first(order)),
        }
    }

    /// At most `limit` products whose first purchase came after the position `after`, and the position to continue after,
    /// if there are more.
    pub fn page(&self, after: Option<u64>, limit: usize) -> (&[OrderedProduct], Option<u64>) {
        let seen = |product: &OrderedProduct| after.is_some_and(|after| product.first_position <= after);
        let rest = &self.products[self.products.partition_point(seen)..];
        if rest.len() <= limit {
            return (rest, None);
        }
        let page = &rest[..limit];
        (page, page.last().map(|product| product.first_position))
    }
}

impl OrderedProduct {
    fn first(order: &Order) -> Self {
        Self {
            product_id: order.product_id,
            quantity: u64::from(order.quantity),
            orders: 1,
            first_position: order.placed_position,
            first_ordered_at_us: order.placed_at_us,
            last_ordered_at_us: order.placed_at_us,
        }
    }

    fn add(&mut self, order: &Order) {
        self.quantity += u64::from(order.quantity);
        self.orders += 1;
        self.last_ordered_at_us = order.placed_at_us;
    }
}

#[cfg(test)]
mod tests;
