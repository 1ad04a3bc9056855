//! What may happen to an order. Pure.

use std::num::NonZeroU32;

use daybook_event::problem::ProblemType;
use schemas::orders::{OrderCancelled, OrderEvent, OrderPlaced};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::references::{FOLLOWS, Product, User};
use super::rejection::OrderRejection;
use crate::fields::InvalidField;
use daybook_command::{Aggregate, Existence, FactsOf, Followed, References};

/// More of one product in one order is a slip of the keyboard.
const QUANTITY_MAX: u32 = 1_000_000;

#[derive(Debug, Clone, Copy)]
pub struct Orders;

/// What a user may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderCommand {
    Place(PlaceOrder),
    Cancel(Uuid),
}

/// An order as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Fresh.
    pub order_id: Uuid,
    pub user_id: Uuid,
    pub product_id: Uuid,
    pub quantity: i64,
}

/// What the service knows of the two that an order joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderFacts {
    /// Of the user.
    pub user: Existence<User>,
    /// Of the product.
    pub product: Existence<Product>,
}

/// An order as the service knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    #[serde(flatten)]
    pub placed: OrderPlaced,
    /// Whether it counts.
    pub status: OrderStatus,
}

/// Whether an order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// It does.
    Placed,
    /// It no longer does.
    Cancelled,
}

impl Aggregate for Orders {
    const PROBLEMS: &'static [ProblemType] = schemas::PROBLEMS;
    const FOLLOWS: &'static [Followed] = FOLLOWS;

    type State = OrderState;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;
    type Facts = Option<OrderFacts>;

    /// A cancelled order is still there to be looked at.
    const UNKNOWN: OrderRejection = OrderRejection::Unknown;

    /// The events of an order are in its user's partition.
    fn state_key(state: &OrderState, _: Uuid) -> Uuid {
        state.placed.user_id
    }

    /// A new order needs its user and product. It can be cancelled also when they are gone, but a reader who sees that it is
    /// should know of them.
    fn facts(
        state: Option<&OrderState>,
        command: &OrderCommand,
        references: &mut References<'_, Self>,
    ) -> FactsOf<Self> {
        let (user_id, product_id) = match (command, state) {
            (OrderCommand::Place(place), _) => (place.user_id, place.product_id),
            (OrderCommand::Cancel(_), Some(order)) => (order.placed.user_id, order.placed.product_id),
            (OrderCommand::Cancel(_), None) => return Ok(None),
        };
        Ok(Some(OrderFacts { user: references.get(user_id)?, product: references.get(product_id)? }))
    }

    fn decide(
        state: Option<&OrderState>,
        command: &OrderCommand,
        facts: &Option<OrderFacts>,
    ) -> Result<Vec<OrderEvent>, OrderRejection> {
        match (command, facts) {
            (OrderCommand::Place(place), Some(facts)) => self::place(state, place, facts),
            (OrderCommand::Place(_), None) => Err(OrderRejection::UserUnknown),
            (OrderCommand::Cancel(_), _) => cancel(state),
        }
    }

    fn evolve(state: Option<OrderState>, event: &OrderEvent) -> OrderState {
        match (event, state) {
            (OrderEvent::Placed(placed), _) => {
                OrderState { placed: placed.clone(), status: OrderStatus::Placed }
            }
            (OrderEvent::Cancelled(_), Some(state)) => OrderState { status: OrderStatus::Cancelled, ..state },
            (OrderEvent::Cancelled(cancelled), None) => never_placed(cancelled),
        }
    }
}

fn place(
    state: Option<&OrderState>,
    asked: &PlaceOrder,
    facts: &OrderFacts,
) -> Result<Vec<OrderEvent>, OrderRejection> {
    if state.is_some() {
        return Err(OrderRejection::AlreadyPlaced);
    }
    let quantity = quantity(asked.quantity)?;
    match facts.user {
        Existence::Unknown => return Err(OrderRejection::UserUnknown),
        Existence::Gone => return Err(OrderRejection::UserDeleted),
        Existence::Present(_) => {}
    }
    match facts.product {
        Existence::Unknown => return Err(OrderRejection::ProductUnknown),
        Existence::Gone => return Err(OrderRejection::ProductDiscontinued),
        Existence::Present(_) => {}
    }
    let PlaceOrder { order_id, user_id, product_id, .. } = *asked;
    Ok(vec![OrderEvent::Placed(OrderPlaced { order_id, user_id, product_id, quantity })])
}

fn cancel(state: Option<&OrderState>) -> Result<Vec<OrderEvent>, OrderRejection> {
    let state = state.ok_or(OrderRejection::Unknown)?;
    if state.status == OrderStatus::Cancelled {
        return Err(OrderRejection::AlreadyCancelled);
    }
    let OrderPlaced { order_id, user_id, product_id, .. } = state.placed;
    Ok(vec![OrderEvent::Cancelled(OrderCancelled { order_id, user_id, product_id })])
}

fn quantity(asked: i64) -> Result<NonZeroU32, InvalidField> {
    let quantity = u32::try_from(asked).ok().filter(|quantity| *quantity <= QUANTITY_MAX);
    quantity.and_then(NonZeroU32::new).ok_or_else(|| InvalidField {
        field: "quantity",
        rule: format!("be a whole number from 1 to {QUANTITY_MAX}"),
    })
}

/// The log cannot hold this: positions and versions are checked before. Total all the same, as `evolve` must be.
fn never_placed(cancelled: &OrderCancelled) -> OrderState {
    let OrderCancelled { order_id, user_id, product_id } = *cancelled;
    let placed = OrderPlaced { order_id, user_id, product_id, quantity: NonZeroU32::MIN };
    OrderState { placed, status: OrderStatus::Cancelled }
}
