//! Orders as bytes: numbers as differences from the order before, and of an order's id the part that its time does not
//! tell. (An id of UUID version 7 begins with a time in milliseconds, which is about when the order was placed; the first
//! 48 bits of any other id are taken for one as well, and cost a few bytes more.)

use uuid::Uuid;

use daybook_projection::RowError;
use daybook_projection::codec::{RowReader, put_signed, put_varint};

use super::{Order, PART_ORDERS};

/// Bytes of an id behind its time.
const ID_REST_BYTES: usize = 10;
const US_PER_MS: i64 = 1_000;

/// Appends at most [`PART_ORDERS`] orders, oldest first.
pub(super) fn put(to: &mut Vec<u8>, orders: &[Order]) {
    put_varint(to, orders.len() as u64);
    let (mut position, mut time) = (0, 0);
    for order in orders {
        to.push(u8::from(order.cancelled_at_us.is_some()));
        put_varint(to, order.placed_position.wrapping_sub(position));
        put_signed(to, order.placed_at_us.wrapping_sub(time));
        put_id(to, order.order_id, order.placed_at_us);
        to.extend_from_slice(order.product_id.as_bytes());
        put_varint(to, u64::from(order.quantity));
        order.cancelled_at_us.iter().for_each(|at| put_signed(to, at.wrapping_sub(order.placed_at_us)));
        (position, time) = (order.placed_position, order.placed_at_us);
    }
}

fn put_id(to: &mut Vec<u8>, id: Uuid, placed_at_us: i64) {
    let id_ms = (id.as_u128() >> (8 * ID_REST_BYTES)) as i64;
    put_signed(to, placed_at_us.div_euclid(US_PER_MS).wrapping_sub(id_ms));
    to.extend_from_slice(&id.as_bytes()[size_of::<Uuid>() - ID_REST_BYTES..]);
}

fn read_id(reader: &mut RowReader<'_>, placed_at_us: i64) -> Result<Uuid, RowError> {
    const FIELD: &str = "order_id";
    let id_ms = placed_at_us.div_euclid(US_PER_MS).wrapping_sub(reader.signed(FIELD)?);
    let rest = reader.take(ID_REST_BYTES, FIELD)?;
    let mut bytes = [0; size_of::<Uuid>()];
    let (time, random) = bytes.split_at_mut(size_of::<Uuid>() - ID_REST_BYTES);
    let [high @ .., _, _, _, _, _, _] = id_ms.to_be_bytes();
    if high != [0; 2] {
        return Err(RowError::impossible(FIELD, id_ms));
    }
    time.copy_from_slice(&id_ms.to_be_bytes()[high.len()..]);
    random.copy_from_slice(rest);
    Ok(Uuid::from_bytes(bytes))
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
    let cancelled = match reader.byte("cancelled")? {
        0 => false,
        1 => true,
        other => return Err(RowError::impossible("cancelled", other)),
    };
    let placed_position = position.wrapping_add(reader.varint("placed_position")?);
    let placed_at_us = time.wrapping_add(reader.signed("placed_at")?);
    let order_id = read_id(reader, placed_at_us)?;
    let product_id = reader.uuid("product_id")?;
    let quantity = reader.number("quantity")?;
    let cancelled_at_us =
        if cancelled { Some(placed_at_us.wrapping_add(reader.signed("cancelled_at")?)) } else { None };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn orders_come_back_whatever_their_ids_and_times(
            orders in prop::collection::vec((any::<u128>(), any::<u128>(), 1_u32.., any::<u64>(), any::<i64>(), any::<Option<i64>>()), 0..20)
        ) {
            let orders: Vec<Order> = orders
                .into_iter()
                .map(|(order_id, product_id, quantity, placed_position, placed_at_us, cancelled_at_us)| Order {
                    order_id: Uuid::from_u128(order_id),
                    product_id: Uuid::from_u128(product_id),
                    quantity,
                    placed_position,
                    placed_at_us,
                    cancelled_at_us,
                })
                .collect();
            let mut bytes = Vec::new();
            put(&mut bytes, &orders);
            let mut reader = RowReader::new(&bytes);
            prop_assert_eq!(read(&mut reader), Ok(orders));
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            let _ = read(&mut RowReader::new(&bytes));
        }
    }

    #[test]
    fn an_order_takes_less_than_forty_bytes() {
        let id = |ms: u64| uuid::Builder::from_unix_timestamp_millis(ms, &[7; ID_REST_BYTES]).into_uuid();
        let order = |number: u64| Order {
            order_id: id(1_700_000_000_000 + number * 86_400_000),
            product_id: id(1),
            quantity: 2,
            placed_position: number * 1_000_000,
            placed_at_us: (1_700_000_000_003 + number.cast_signed() * 86_400_000) * US_PER_MS,
            cancelled_at_us: None,
        };
        let orders: Vec<Order> = (0..100).map(order).collect();
        let mut bytes = Vec::new();
        put(&mut bytes, &orders);
        assert!(bytes.len() < 40 * orders.len(), "{}", bytes.len());
    }
}
