//! Orders as bytes: ids as they are, numbers as differences from the order before.

use crate::kernel::RowError;
use crate::kernel::codec::{RowReader, put_signed, put_varint};

use super::{Order, PART_ORDERS};

/// Appends at most [`PART_ORDERS`] orders, oldest first.
pub(super) fn put(to: &mut Vec<u8>, orders: &[Order]) {
    put_varint(to, orders.len() as u64);
    let (mut position, mut time) = (0, 0);
    for order in orders {
        to.extend_from_slice(order.order_id.as_bytes());
        to.extend_from_slice(order.product_id.as_bytes());
        put_varint(to, u64::from(order.quantity));
        put_varint(to, order.placed_position.wrapping_sub(position));
        put_signed(to, order.placed_at_us.wrapping_sub(time));
        to.push(u8::from(order.cancelled_at_us.is_some()));
        order.cancelled_at_us.iter().for_each(|at| put_signed(to, at.wrapping_sub(order.placed_at_us)));
        (position, time) = (order.placed_position, order.placed_at_us);
    }
}

/// Reads what [`put`] wrote.
pub(super) fn read(reader: &mut RowReader<'_>) -> Result<Vec<Order>, RowError> {
    let count: usize = reader.number("orders")?;
    if count > PART_ORDERS {
        return Err(RowError::impossible("orders", count));
    }
    let mut orders = Vec::with_capacity(count);
    let (mut position, mut time) = (0, 0);
    for _ in 0..count {
        let order = order(reader, position, time)?;
        (position, time) = (order.placed_position, order.placed_at_us);
        orders.push(order);
    }
    Ok(orders)
}

fn order(reader: &mut RowReader<'_>, position: u64, time: i64) -> Result<Order, RowError> {
    let order_id = reader.uuid("order_id")?;
    let product_id = reader.uuid("product_id")?;
    let quantity = reader.number("quantity")?;
    let placed_position = position.wrapping_add(reader.varint("placed_position")?);
    let placed_at_us = time.wrapping_add(reader.signed("placed_at")?);
    let cancelled_at_us = match reader.byte("cancelled")? {
        0 => None,
        1 => Some(placed_at_us.wrapping_add(reader.signed("cancelled_at")?)),
        other => return Err(RowError::impossible("cancelled", other)),
    };
    Ok(Order { order_id, product_id, quantity, placed_position, placed_at_us, cancelled_at_us })
}

/// The bytes of a part.
pub(super) fn part(orders: &[Order]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, orders);
    bytes
}

/// Reads a part, which is always full.
pub(super) fn read_part(bytes: &[u8]) -> Result<Vec<Order>, RowError> {
    let mut reader = RowReader::new(bytes);
    let orders = read(&mut reader)?;
    reader.finish()?;
    if orders.len() == PART_ORDERS { Ok(orders) } else { Err(RowError::impossible("orders", orders.len())) }
}
