//! `GET /users/{user_id}/orders`: all orders, cancelled ones too, in the order of placing.
//!
//! A cursor is the index of the next order in that order, which never changes: orders are only added at its end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use projector::kernel::Generation;
use projector::shop::orders::{self, Order};
use projector::shop::products;
use serde::Serialize;
use uuid::Uuid;

use super::user;
use crate::kernel::answer;
use crate::kernel::api::Api;
use crate::kernel::asked::Asked;
use crate::kernel::cursor;
use crate::kernel::positions;
use crate::kernel::refusal::Refusal;
use crate::kernel::serving::unreadable;
use crate::kernel::times::Time;

#[derive(Serialize)]
struct Body<'t> {
    user_id: Uuid,
    orders: Vec<Item<'t>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Item<'t> {
    order_id: Uuid,
    product_id: Uuid,
    title: Option<&'t str>,
    quantity: u32,
    status: &'static str,
    placed_at: Time,
    cancelled_at: Option<Time>,
}

struct Wanted {
    user_id: Uuid,
    from_index: u64,
    limit: usize,
    scope: String,
}

/// Answers the query.
pub async fn answer(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refusal> {
    let wanted = wanted(&asked)?;
    let serving = api.serving_after(&asked.after).await?;
    // Read before the rows: the answer holds at least what it says.
    let checkpoint = serving.generation.checkpoint();
    let as_of = positions::as_of(&checkpoint, &user::depends_on(&checkpoint, wanted.user_id));
    match serving.read(wanted.limit, move |generation| body(generation, &wanted)).await {
        Ok(body) => Ok(answer::tagged(body, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of)),
    }
}

fn wanted(asked: &Asked) -> Result<Wanted, Refusal> {
    let user_id = asked.id()?;
    let page = asked.page()?;
    let scope = format!("/users/{user_id}/orders");
    let from = page.cursor.map(|text| cursor::read(&scope, &text)).transpose()?;
    Ok(Wanted { user_id, from_index: from.map_or(0, u64::from_be_bytes), limit: page.limit, scope })
}

fn body(generation: &Generation, wanted: &Wanted) -> Result<Vec<u8>, Refusal> {
    user::check_exists(generation, wanted.user_id)?;
    let page = orders::page(generation, wanted.user_id, wanted.from_index, wanted.limit);
    let page = page.map_err(|error| unreadable(&error))?;
    let titles = titles(generation, &page.orders)?;
    let title = |order: &Order| titles.get(&order.product_id)?.as_deref();
    answer::render(&Body {
        user_id: wanted.user_id,
        orders: page.orders.iter().map(|order| item(order, title(order))).collect(),
        next: page.next_index.map(|index| cursor::write(&wanted.scope, &index.to_be_bytes())),
    })
}

/// Titles of the products on a page, each read once.
fn titles(generation: &Generation, orders: &[Order]) -> Result<HashMap<Uuid, Option<String>>, Refusal> {
    let mut titles = HashMap::new();
    for order in orders {
        if let Entry::Vacant(vacant) = titles.entry(order.product_id) {
            let product = products::load(generation, order.product_id).map_err(|error| unreadable(&error))?;
            vacant.insert(product.and_then(|product| product.title));
        }
    }
    Ok(titles)
}

fn item<'t>(order: &Order, title: Option<&'t str>) -> Item<'t> {
    Item {
        order_id: order.order_id,
        product_id: order.product_id,
        title,
        quantity: order.quantity,
        status: if order.cancelled_at_us.is_some() { "cancelled" } else { "placed" },
        placed_at: Time(order.placed_at_us),
        cancelled_at: order.cancelled_at_us.map(Time),
    }
}
