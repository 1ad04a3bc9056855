//! What an event changes in a user's orders.

use schemas::OrderEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use daybook_projection::RowError;
use daybook_projection::codec::{RowReader, put_varint};

/// What an event changes in a user's orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderChange {
    /// One more order.
    Placed(Placed),
    /// The order with this id no longer counts.
    Cancelled(Uuid),
}

/// An order as it was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub order_id: Uuid,
    pub product_id: Uuid,
    /// How many, from 1.
    pub quantity: u32,
}

/// In place of a quantity, which is never 0.
const CANCELLED: u64 = 0;

impl OrderChange {
    pub(super) fn of(event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(placed) => Self::Placed(Placed {
                order_id: placed.order_id,
                product_id: placed.product_id,
                quantity: placed.quantity.get(),
            }),
            OrderEvent::Cancelled(cancelled) => Self::Cancelled(cancelled.order_id),
        }
    }

    pub(super) fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Placed(placed) => {
                put_varint(to, u64::from(placed.quantity));
                to.extend_from_slice(placed.order_id.as_bytes());
                to.extend_from_slice(placed.product_id.as_bytes());
            }
            Self::Cancelled(order_id) => {
                put_varint(to, CANCELLED);
                to.extend_from_slice(order_id.as_bytes());
            }
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, RowError> {
        let mut reader = RowReader::new(bytes);
        let quantity = reader.number("quantity")?;
        let order_id = reader.uuid("order_id")?;
        let change = if u64::from(quantity) == CANCELLED {
            Self::Cancelled(order_id)
        } else {
            Self::Placed(Placed { order_id, product_id: reader.uuid("product_id")?, quantity })
        };
        reader.finish()?;
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_comes_back_from_its_bytes() {
        let (order_id, product_id) = (Uuid::from_u128(7), Uuid::from_u128(8));
        for change in [
            OrderChange::Placed(Placed { order_id, product_id, quantity: u32::MAX }),
            OrderChange::Cancelled(order_id),
        ] {
            let mut bytes = Vec::new();
            change.put(&mut bytes);
            assert_eq!(OrderChange::read(&bytes), Ok(change));
            assert!(OrderChange::read(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
