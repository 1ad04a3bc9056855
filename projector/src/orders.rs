//! View: every user's orders, in the order of placing.
//!
//! A user's row holds the newest orders, at most [`PART_ORDERS`]; when it is full, they become a *part* of their own,
//! and the row begins again. So a user with a few orders is one small value, and a user with a million never costs a
//! write of more than a few kilobytes. Which orders a user's products are follows from the orders when they are read.

mod change;
mod find;
mod packed;
mod read;

use daybook_event::Event as _;
use daybook_service::fires;
use schemas::ShopEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

pub use change::OrderChange;
use change::Placed;
use daybook_projection::codec::{RowReader, put_varint};
use daybook_projection::{EventMeta, FoldError, PartStore, Parts, ReadError, RowError, View};
use find::Found;
pub use read::{OrdersPage, each, page};

/// Orders of a part, and most orders of a row: about six kilobytes.
pub const PART_ORDERS: usize = 128;

#[derive(Debug)]
pub struct Orders;

/// One order of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub order_id: Uuid,
    pub product_id: Uuid,
    /// How many, from 1.
    pub quantity: u32,
    /// Position of the event that placed it, in the user's partition of the orders' topic.
    pub placed_position: u64,
    /// When it was placed, in microseconds since 1970.
    pub placed_at_us: i64,
    /// When it was cancelled, in microseconds since 1970, if it was.
    pub cancelled_at_us: Option<i64>,
}

/// A user's newest orders, and how many parts hold the older ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrdersRow {
    /// Parts written, each of [`PART_ORDERS`] orders.
    parts: u32,
    /// Whether every order had a larger id than the one placed before it, so that parts can be searched by halves.
    ascending: bool,
    /// The orders placed after those of the parts, oldest first.
    newest: Vec<Order>,
}

impl Default for OrdersRow {
    fn default() -> Self {
        Self { parts: 0, ascending: true, newest: Vec::new() }
    }
}

impl View for Orders {
    type Event = ShopEvent;
    type Change = OrderChange;
    type Row = OrdersRow;
    const ID: u8 = 3;
    const NAME: &'static str = "orders";

    fn change(event: &ShopEvent) -> Option<(Uuid, OrderChange)> {
        match event {
            ShopEvent::Order(event) => Some((event.key(), OrderChange::of(event))),
            ShopEvent::User(_) | ShopEvent::Product(_) => None,
        }
    }

    fn fold(
        row: Option<OrdersRow>,
        change: OrderChange,
        at: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<OrdersRow>, FoldError> {
        let row = row.unwrap_or_default();
        match change {
            OrderChange::Placed(placed) => Ok(Some(place(row, placed, at, parts))),
            OrderChange::Cancelled(order_id) => cancel(row, order_id, at, parts).map(Some),
        }
    }

    fn put_change(change: &OrderChange, to: &mut Vec<u8>) -> Result<(), RowError> {
        change.put(to);
        Ok(())
    }

    fn read_change(bytes: &[u8]) -> Result<OrderChange, RowError> {
        OrderChange::read(bytes)
    }

    fn encode(row: &OrdersRow, to: &mut Vec<u8>) -> Result<(), RowError> {
        put_varint(to, u64::from(row.parts));
        to.push(u8::from(row.ascending));
        packed::put(to, &row.newest);
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<OrdersRow, RowError> {
        let mut reader = RowReader::new(bytes);
        let parts = reader.number("parts")?;
        let ascending = match reader.byte("ascending")? {
            0 => false,
            1 => true,
            other => return Err(RowError::impossible("ascending", other)),
        };
        let newest = packed::read(&mut reader)?;
        reader.finish()?;
        Ok(OrdersRow { parts, ascending, newest })
    }

    fn heap_bytes(row: &OrdersRow) -> usize {
        row.newest.capacity() * size_of::<Order>()
    }

    fn describe(row: &OrdersRow, key: Uuid, parts: &dyn PartStore) -> Result<Value, ReadError> {
        let mut orders = Vec::new();
        for number in 0..row.parts {
            orders.extend(read::part(parts, key, number)?);
        }
        orders.extend(&row.newest);
        Ok(json!({ "user_id": key, "parts": row.parts, "orders": orders }))
    }
}

fn place(mut row: OrdersRow, placed: Placed, at: &EventMeta<'_>, parts: &mut Parts<'_>) -> OrdersRow {
    // A row is never empty but before the first order, so its last one is the one placed before.
    let before = row.newest.last().map(|order| order.order_id);
    row.ascending &= before.is_none_or(|before| before < placed.order_id);
    if row.newest.len() == PART_ORDERS {
        parts.write(row.parts, packed::part(&row.newest));
        row.parts += 1;
        row.newest.clear();
    }
    row.newest.push(Order {
        order_id: placed.order_id,
        product_id: placed.product_id,
        quantity: placed.quantity,
        placed_position: at.position,
        placed_at_us: at.time_us,
        cancelled_at_us: None,
    });
    if fires("double-row") {
        row.newest.extend(row.newest.last().copied());
    }
    row
}

fn cancel(
    mut row: OrdersRow,
    order_id: Uuid,
    at: &EventMeta<'_>,
    parts: &mut Parts<'_>,
) -> Result<OrdersRow, FoldError> {
    let user_id = parts.key();
    let contradiction = |detail| FoldError::Contradiction { key: user_id, detail };
    let found = find::order(&row, order_id, |number| parts_of(parts, user_id, number))?;
    let (mut orders, index, part) = match found {
        None => return Err(contradiction(format!("order {order_id} is cancelled but was never placed"))),
        Some(Found::Newest { index }) => (std::mem::take(&mut row.newest), index, None),
        Some(Found::Part { number, orders, index }) => (orders, index, Some(number)),
    };
    if orders[index].cancelled_at_us.is_some() {
        return Err(contradiction(format!("order {order_id} is cancelled a second time")));
    }
    orders[index].cancelled_at_us = Some(at.time_us);
    match part {
        None => row.newest = orders,
        Some(number) => parts.write(number, packed::part(&orders)),
    }
    Ok(row)
}

fn parts_of(parts: &Parts<'_>, user_id: Uuid, number: u32) -> Result<Vec<Order>, FoldError> {
    let bytes = parts.read(number)?.ok_or(RowError::CutOff { field: "parts" });
    let orders = bytes.and_then(|bytes| packed::read_part(&bytes));
    Ok(orders.map_err(ReadError::row(Orders::NAME, user_id))?)
}
