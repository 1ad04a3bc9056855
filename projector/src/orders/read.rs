//! Reading a user's orders: one page, or all.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::{Order, Orders, OrdersRow, PART_ORDERS, packed};
use daybook_projection::{Generation, PartStore, ReadError, RowError, View};

/// Some orders of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrdersPage {
    /// In the order of placing.
    pub orders: Vec<Order>,
    /// Where the next page begins; `None` if this one reaches the newest order.
    pub next_index: Option<u64>,
    /// All orders of the user, cancelled ones too.
    pub total: u64,
}

/// At most `limit` orders of a user in the order of placing, from the one with `from_index` (counted from 0) on. A user
/// without orders, or an index past the last one, gives an empty page.
pub fn page(
    generation: &Generation,
    user_id: Uuid,
    from_index: u64,
    limit: usize,
) -> Result<OrdersPage, ReadError> {
    let Some(row) = daybook_projection::load::<Orders>(generation, user_id)? else {
        return Ok(OrdersPage::default());
    };
    let total = row.total();
    let to = from_index.saturating_add(limit as u64).min(total);
    let mut orders = Vec::new();
    let mut index = from_index;
    while index < to {
        let (number, within) = (index / PART_ORDERS as u64, (index % PART_ORDERS as u64) as usize);
        let take = (to - index) as usize;
        let before = orders.len();
        row.with_piece(generation, user_id, number, |piece| {
            orders.extend(piece.iter().skip(within).take(take));
        })?;
        index += (orders.len() - before) as u64;
    }
    Ok(OrdersPage { orders, next_index: (to < total).then_some(to), total })
}

/// Hands all orders of a user to `visit`, part by part, in the order of placing, until it breaks off. Holds one part in memory
/// at a time.
pub fn each(
    generation: &Generation,
    user_id: Uuid,
    mut visit: impl FnMut(&[Order]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    let Some(row) = daybook_projection::load::<Orders>(generation, user_id)? else {
        return Ok(ControlFlow::Continue(()));
    };
    for number in 0..=u64::from(row.parts) {
        if row.with_piece(generation, user_id, number, &mut visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

impl OrdersRow {
    fn total(&self) -> u64 {
        u64::from(self.parts) * PART_ORDERS as u64 + self.newest.len() as u64
    }

    /// Shows the orders of part `number`, or the newest ones if there is no such part.
    fn with_piece<T>(
        &self,
        parts: &dyn PartStore,
        user_id: Uuid,
        number: u64,
        show: impl FnOnce(&[Order]) -> T,
    ) -> Result<T, ReadError> {
        Ok(match u32::try_from(number) {
            Ok(number) if number < self.parts => show(&part(parts, user_id, number)?),
            _ => show(&self.newest),
        })
    }
}

/// The orders of one part.
pub(super) fn part(parts: &dyn PartStore, user_id: Uuid, number: u32) -> Result<Vec<Order>, ReadError> {
    let bytes = parts.part(Orders::ID, user_id, number)?.ok_or(RowError::CutOff { field: "parts" });
    bytes.and_then(|bytes| packed::read_part(&bytes)).map_err(ReadError::row(Orders::NAME, user_id))
}
