//! `GET /users/{user_id}/products`: each product once, in the order of its first purchase.
//!
//! The answer is joined while it is read: a user's orders, cancelled ones left out, gathered by product; then the
//! details of the products of one page. A cursor is the position of the purchase after which the next page begins, so
//! whatever is ordered meanwhile comes on a later page. (A product whose first order is cancelled between two pages
//! moves to its next purchase and may be seen again; none is missed.)

mod gather;

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::response::Response;
use daybook_projection::Generation;
use daybook_service::Stop;
use projector::orders;
use projector::products::ProductRow;
use serde::Serialize;
use uuid::Uuid;

use super::known_products::{KnownProducts, ProductsAt};
use super::user;
use daybook_query::api::Api;
use daybook_query::cursor;
use daybook_query::errors::{given_up, unreadable};
use daybook_query::limits::READ_INLINE_ROWS_MAX;
use daybook_query::read_set::ReadSet;
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_query::times::Time;
use daybook_service::http::ApiError;
pub use gather::{Gathered, OrderedProduct};

#[derive(Serialize)]
struct Shown<'p> {
    user_id: Uuid,
    products: Vec<Item<'p>>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
}

#[derive(Serialize)]
struct Item<'p> {
    product_id: Uuid,
    title: Option<&'p str>,
    image: Option<&'p str>,
    price_cents: Option<i64>,
    discontinued: bool,
    quantity: u64,
    orders: u64,
    first_ordered_at: Time,
    last_ordered_at: Time,
}

/// Which part of the answer is asked for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    user_id: Uuid,
    /// Position of the purchase to go on after.
    after: Option<u64>,
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
    let of_few = products.clone();
    let few = move |generation: &Generation, read_set| few(generation, &of_few, wanted, read_set);
    let all = move |generation: &Generation, read_set, stop: &Stop| {
        all(generation, &products, wanted, read_set, stop)
    };
    responder.answer_any(READ_INLINE_ROWS_MAX, few, all).await
}

impl Wanted {
    fn read(request: &QueryRequest) -> Result<Self, ApiError> {
        let user_id = request.id()?;
        let page = request.page()?;
        let after = page.cursor.map(|text| cursor::read(&scope(user_id), &text)).transpose()?;
        Ok(Self { user_id, after: after.map(u64::from_be_bytes), limit: page.limit })
    }
}

fn scope(user_id: Uuid) -> String {
    format!("/users/{user_id}/products")
}

/// None if there is more than can be read at once.
fn few(
    generation: &Generation,
    products: &ProductsAt,
    wanted: Wanted,
    read_set: ReadSet,
) -> Result<Option<Body>, ApiError> {
    user::check_exists(generation, wanted.user_id)?;
    let few = orders::page(generation, wanted.user_id, 0, READ_INLINE_ROWS_MAX);
    let few = few.map_err(|error| unreadable(&error))?;
    if few.next_index.is_some() {
        return Ok(None);
    }
    render(generation, products, wanted, &Gathered::from_orders(&few.orders), read_set).map(Some)
}

fn all(
    generation: &Generation,
    products: &ProductsAt,
    wanted: Wanted,
    read_set: ReadSet,
    stop: &Stop,
) -> Result<Body, ApiError> {
    let mut gathered = Gathered::default();
    let read = orders::each(generation, wanted.user_id, |part| {
        part.iter().for_each(|order| gathered.add(order));
        if stop.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if read.map_err(|error| unreadable(&error))?.is_break() {
        return Err(given_up());
    }
    render(generation, products, wanted, &gathered, read_set)
}

fn render(
    generation: &Generation,
    products: &ProductsAt,
    wanted: Wanted,
    gathered: &Gathered,
    mut read_set: ReadSet,
) -> Result<Body, ApiError> {
    let (page, next) = gathered.page(wanted.after, wanted.limit);
    let rows = page.iter().map(|ordered| products.row(generation, ordered.product_id));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    read_set.shows(schemas::products::TOPIC, page.iter().map(|ordered| ordered.product_id));
    let shown = |key| page.iter().any(|ordered| ordered.product_id == key);
    read_set.depends_on(schemas::products::TOPIC, shown);
    let items = page.iter().zip(&rows).map(|(ordered, row)| item(ordered, row)).collect();
    let next = next.map(|position| cursor::write(&scope(wanted.user_id), &position.to_be_bytes()));
    let content =
        Shown { user_id: wanted.user_id, products: items, next, quarantined: read_set.quarantined() };
    Body::of(&content, page.len(), read_set)
}

fn item<'p>(ordered: &OrderedProduct, product: &'p ProductRow) -> Item<'p> {
    Item {
        product_id: ordered.product_id,
        title: product.title.as_deref(),
        image: product.image.as_deref(),
        price_cents: product.price_cents,
        discontinued: product.discontinued,
        quantity: ordered.quantity,
        orders: ordered.orders,
        first_ordered_at: Time(ordered.first_ordered_at_us),
        last_ordered_at: Time(ordered.last_ordered_at_us),
    }
}
