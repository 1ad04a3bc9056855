//! `GET /users/{user_id}/orders`: all orders, cancelled ones too, in the order of placing.
//!
//! A cursor is the index of the next order in that order, which never changes: orders are only added at its end.

use std::sync::Arc;

use axum::response::Response;
use daybook_projection::Generation;
use daybook_service::fires;
use projector::orders::{self, Order};
use projector::products::ProductRow;
use serde::Serialize;
use uuid::Uuid;

use super::known_products::{KnownProducts, ProductsAt};
use super::user;
use daybook_query::answer::{self, Rendered};
use daybook_query::api::Api;
use daybook_query::asked::Asked;
use daybook_query::cursor;
use daybook_query::grounds::Grounds;
use daybook_query::marks::Marks;
use daybook_query::refusal::Refusal;
use daybook_query::serving::unreadable;
use daybook_query::times::Time;

#[derive(Serialize)]
struct Body<'p> {
    user_id: Uuid,
    orders: Vec<Item<'p>>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
}

#[derive(Serialize)]
struct Item<'p> {
    order_id: Uuid,
    product_id: Uuid,
    title: Option<&'p str>,
    quantity: u32,
    status: &'static str,
    placed_at: Time,
    cancelled_at: Option<Time>,
}

#[derive(Clone, Copy)]
struct Wanted {
    user_id: Uuid,
    from_index: u64,
    limit: usize,
}

/// Answers the query.
pub(super) async fn answer(
    api: Arc<Api>,
    known: Arc<KnownProducts>,
    asked: Asked,
) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&asked)?;
    let serving = api.serving_after(&asked.after).await?;
    let grounds = Grounds::of(&serving).await?;
    let as_of = grounds.as_of(&user::depends_on(&grounds.checkpoint, wanted.user_id));
    let (products, marks) = (known.at(&serving, &grounds), user::marks(&grounds, wanted.user_id));
    let of_user = marks.clone();
    match serving.read(wanted.limit, move |generation| body(generation, &products, wanted, marks)).await {
        Ok(rendered) => Ok(answer::tagged(rendered, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of).marks(&of_user)),
    }
}

impl Wanted {
    fn read(asked: &Asked) -> Result<Self, Refusal> {
        let user_id = asked.id()?;
        let page = asked.page()?;
        let from = page.cursor.map(|text| cursor::read(&scope(user_id), &text)).transpose()?;
        Ok(Self { user_id, from_index: from.map_or(0, u64::from_be_bytes), limit: page.limit })
    }
}

fn scope(user_id: Uuid) -> String {
    format!("/users/{user_id}/orders")
}

fn body(
    generation: &Generation,
    products: &ProductsAt,
    wanted: Wanted,
    mut marks: Marks,
) -> Result<Rendered, Refusal> {
    let Wanted { user_id, from_index, limit } = wanted;
    user::check_exists(generation, user_id)?;
    let mut page =
        orders::page(generation, user_id, from_index, limit).map_err(|error| unreadable(&error))?;
    if !page.orders.is_empty() && fires("back-in-time") {
        page.orders.pop();
    }
    let rows = page.orders.iter().map(|order| products.row(generation, order.product_id));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let shown = |key| page.orders.iter().any(|order| order.product_id == key);
    marks.depends_on(schemas::products::TOPIC, shown);
    let items = page.orders.iter().zip(&rows).map(|(order, row)| item(order, row)).collect();
    let next = page.next_index.map(|index| cursor::write(&scope(user_id), &index.to_be_bytes()));
    let content = Body { user_id, orders: items, next, quarantined: marks.keys() };
    Ok(Rendered { body: answer::render(&content, page.orders.len())?, marks })
}

fn item<'p>(order: &Order, product: &'p ProductRow) -> Item<'p> {
    Item {
        order_id: order.order_id,
        product_id: order.product_id,
        title: product.title.as_deref(),
        quantity: order.quantity,
        status: if order.cancelled_at_us.is_some() { "cancelled" } else { "placed" },
        placed_at: Time(order.placed_at_us),
        cancelled_at: order.cancelled_at_us.map(Time),
    }
}
