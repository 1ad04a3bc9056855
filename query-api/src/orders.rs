//! `GET /users/{user_id}/orders`: all orders, cancelled ones too, in the order of placing.
//!
//! A cursor is the index of the next order in that order, which never changes: orders are only added at its end.

use std::sync::Arc;

use axum::response::Response;
use daybook_projection::Generation;
use daybook_query::api::Api;
use daybook_query::as_of::ReadSet;
use daybook_query::errors::unreadable;
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_query::times::Time;
use daybook_service::fires;
use daybook_service::http::ApiError;
use projector::orders::{self, Order};
use projector::products::ProductRow;
use serde::Serialize;
use uuid::Uuid;

use super::user::{Items, KnownProducts, ProductsAt, UserPage};

#[derive(Serialize)]
pub(super) struct Item<'p> {
    order_id: Uuid,
    product_id: Uuid,
    title: Option<&'p str>,
    quantity: u32,
    status: &'static str,
    placed_at: Time,
    cancelled_at: Option<Time>,
}

pub(super) async fn answer(
    api: Arc<Api>,
    known: Arc<KnownProducts>,
    request: QueryRequest,
) -> Result<Response, ApiError> {
    let wanted = UserPage::read(&request, "orders")?;
    let responder = api.respond(&request, &wanted.depends_on()).await?;
    let products = ProductsAt::of(known, &responder);
    let read = move |generation: &Generation, read_set| body(generation, &products, wanted, read_set);
    responder.answer(wanted.limit, read).await
}

fn body(
    generation: &Generation,
    products: &ProductsAt,
    wanted: UserPage,
    mut read_set: ReadSet,
) -> Result<Body, ApiError> {
    wanted.check_exists(generation)?;
    let page = orders::page(generation, wanted.user_id, wanted.from.unwrap_or(0), wanted.limit);
    let mut page = page.map_err(|error| unreadable(&error))?;
    if !page.orders.is_empty() && fires("back-in-time") {
        page.orders.pop();
    }
    let rows = products.rows(generation, page.orders.iter().map(|order| order.product_id), &mut read_set)?;
    let items = page.orders.iter().zip(&rows).map(|(order, row)| item(order, row)).collect();
    wanted.body(Items::Orders(items), page.next_index, read_set)
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
