//! `GET /users/{user_id}/products`: each product once, in the order of its first purchase.
//!
//! The answer is joined while it is read: a user's orders, cancelled ones left out, gathered by product; then the
//! details of the products of one page. A cursor is the position of the purchase after which the next page begins, so
//! whatever is ordered meanwhile comes on a later page. (A product whose first order is cancelled between two pages
//! moves to its next purchase and may be seen again; none is missed.)

mod gather;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use projector::kernel::Generation;
use projector::shop::{orders, products};
use serde::Serialize;
use uuid::Uuid;

use super::user;
use crate::kernel::answer;
use crate::kernel::api::Api;
use crate::kernel::asked::Asked;
use crate::kernel::cursor;
use crate::kernel::limits::READ_INLINE_ROWS_MAX;
use crate::kernel::positions;
use crate::kernel::refusal::Refusal;
use crate::kernel::serving::{Serving, unreadable};
use crate::kernel::times::Time;
pub use gather::{Gathered, OrderedProduct};

#[derive(Serialize)]
struct Body {
    user_id: Uuid,
    products: Vec<Item>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Item {
    product_id: Uuid,
    title: Option<String>,
    image: Option<String>,
    price_cents: Option<i64>,
    discontinued: bool,
    quantity: u64,
    orders: u64,
    first_ordered_at: Time,
    last_ordered_at: Time,
}

/// Which part of the answer is asked for.
#[derive(Debug, Clone)]
struct Wanted {
    user_id: Uuid,
    /// Position of the purchase to go on after.
    after: Option<u64>,
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
    match body(&serving, wanted).await {
        Ok(body) => Ok(answer::tagged(body, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of)),
    }
}

fn wanted(asked: &Asked) -> Result<Wanted, Refusal> {
    let user_id = asked.id()?;
    let page = asked.page()?;
    let scope = format!("/users/{user_id}/products");
    let after = page.cursor.map(|text| cursor::read(&scope, &text)).transpose()?.map(u64::from_be_bytes);
    Ok(Wanted { user_id, after, limit: page.limit, scope })
}

async fn body(serving: &Serving, wanted: Wanted) -> Result<Vec<u8>, Refusal> {
    user::check_exists(&serving.generation, wanted.user_id)?;
    let inline = READ_INLINE_ROWS_MAX;
    let orders =
        orders::page(&serving.generation, wanted.user_id, 0, inline).map_err(|error| unreadable(&error))?;
    if orders.next_index.is_none() {
        return render(&serving.generation, &wanted, Gathered::from_orders(&orders.orders));
    }
    serving
        .read_many(move |generation| render(generation, &wanted, gather_all(generation, wanted.user_id)?))
        .await
}

fn gather_all(generation: &Generation, user_id: Uuid) -> Result<Gathered, Refusal> {
    let mut gathered = Gathered::default();
    orders::each(generation, user_id, |order| gathered.add(order)).map_err(|error| unreadable(&error))?;
    Ok(gathered)
}

fn render(generation: &Generation, wanted: &Wanted, gathered: Gathered) -> Result<Vec<u8>, Refusal> {
    let (page, next) = gathered.page(wanted.after, wanted.limit);
    let items = page.iter().map(|ordered| item(generation, ordered)).collect::<Result<_, _>>()?;
    let next = next.map(|position| cursor::write(&wanted.scope, &position.to_be_bytes()));
    answer::render(&Body { user_id: wanted.user_id, products: items, next })
}

fn item(generation: &Generation, ordered: &OrderedProduct) -> Result<Item, Refusal> {
    let product = products::load(generation, ordered.product_id).map_err(|error| unreadable(&error))?;
    // Not yet known here: its events come by another topic, and may be later than the order.
    let product = product.unwrap_or_default();
    Ok(Item {
        product_id: ordered.product_id,
        title: product.title,
        image: product.image,
        price_cents: product.price_cents,
        discontinued: product.discontinued,
        quantity: ordered.quantity,
        orders: ordered.orders,
        first_ordered_at: Time(ordered.first_ordered_at_us),
        last_ordered_at: Time(ordered.last_ordered_at_us),
    })
}
