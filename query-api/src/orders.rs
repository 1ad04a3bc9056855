//! `GET /users/{user_id}/orders`: all orders, cancelled ones too, in the order of placing.
//!
//! A cursor is the index of the next order in that order, which never changes: orders are only added at its end.

use std::sync::Arc;

use axum::response::Response;
use daybook_projection::Generation;
use daybook_query::api::Api;
use daybook_query::cursor;
use daybook_query::errors::unreadable;
use daybook_query::read_set::ReadSet;
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_query::times::Time;
use daybook_service::fires;
use daybook_service::http::ApiError;
use projector::orders::{self, Order};
use projector::products::ProductRow;
use serde::Serialize;
use uuid::Uuid;

use super::known_products::{KnownProducts, ProductsAt};
use super::user;

#[derive(Serialize)]
struct Shown<'p> {
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
    request: QueryRequest,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&request)?;
    let responder = api.respond(&request, &user::depends_on(wanted.user_id)).await?;
    let products = known.at(&responder);
    let read = move |generation: &Generation, read_set| body(generation, &products, wanted, read_set);
    responder.answer(wanted.limit, read).await
}

impl Wanted {
    fn read(request: &QueryRequest) -> Result<Self, ApiError> {
        let user_id = request.id()?;
        let page = request.page()?;
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
    mut read_set: ReadSet,
) -> Result<Body, ApiError> {
    let Wanted { user_id, from_index, limit } = wanted;
    user::check_exists(generation, user_id)?;
    let mut page =
        orders::page(generation, user_id, from_index, limit).map_err(|error| unreadable(&error))?;
    if !page.orders.is_empty() && fires("back-in-time") {
        page.orders.pop();
    }
    let rows = page.orders.iter().map(|order| products.row(generation, order.product_id));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    read_set.shows(schemas::products::TOPIC, page.orders.iter().map(|order| order.product_id));
    let shown = |key| page.orders.iter().any(|order| order.product_id == key);
    read_set.depends_on(schemas::products::TOPIC, shown);
    let items = page.orders.iter().zip(&rows).map(|(order, row)| item(order, row)).collect();
    let next = page.next_index.map(|index| cursor::write(&scope(user_id), &index.to_be_bytes()));
    let content = Shown { user_id, orders: items, next, quarantined: read_set.quarantined() };
    Body::of(&content, page.orders.len(), read_set)
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
