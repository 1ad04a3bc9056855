//! Where an order stands: among the newest, or in which part.

use uuid::Uuid;

use super::{Order, OrdersRow};
use daybook_projection::FoldError;

/// Where an order was found.
pub(super) enum Found {
    /// In the row itself.
    Newest { index: usize },
    /// In a part, whose orders come along.
    Part { number: u32, orders: Vec<Order>, index: usize },
}

/// Looks for an order; `part` reads a part. While ids ascend, a few parts are read, else all until it is found, newest
/// first.
pub(super) fn order(
    row: &OrdersRow,
    order_id: Uuid,
    part: impl Fn(u32) -> Result<Vec<Order>, FoldError>,
) -> Result<Option<Found>, FoldError> {
    if let Some(index) = index_of(&row.newest, order_id) {
        return Ok(Some(Found::Newest { index }));
    }
    if row.ascending { by_halves(row.parts, order_id, part) } else { one_by_one(row.parts, order_id, part) }
}

fn by_halves(
    parts: u32,
    order_id: Uuid,
    part: impl Fn(u32) -> Result<Vec<Order>, FoldError>,
) -> Result<Option<Found>, FoldError> {
    let (mut low, mut high) = (0, parts);
    while low < high {
        let number = low + (high - low) / 2;
        let orders = part(number)?;
        if let Some(index) = index_of(&orders, order_id) {
            return Ok(Some(Found::Part { number, orders, index }));
        }
        if orders.first().is_some_and(|first| order_id < first.order_id) {
            high = number;
        } else {
            low = number + 1;
        }
    }
    Ok(None)
}

fn one_by_one(
    parts: u32,
    order_id: Uuid,
    part: impl Fn(u32) -> Result<Vec<Order>, FoldError>,
) -> Result<Option<Found>, FoldError> {
    for number in (0..parts).rev() {
        let orders = part(number)?;
        if let Some(index) = index_of(&orders, order_id) {
            return Ok(Some(Found::Part { number, orders, index }));
        }
    }
    Ok(None)
}

fn index_of(orders: &[Order], order_id: Uuid) -> Option<usize> {
    orders.iter().position(|order| order.order_id == order_id)
}
