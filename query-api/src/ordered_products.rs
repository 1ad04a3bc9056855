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

use super::user::{Items, KnownProducts, ProductsAt, UserPage};
use daybook_query::api::Api;
use daybook_query::as_of::ReadSet;
use daybook_query::errors::{given_up, unreadable};
use daybook_query::limits::READ_INLINE_ROWS_MAX;
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_query::times::Time;
use daybook_service::http::ApiError;
pub use gather::{Gathered, OrderedProduct};

#[derive(Serialize)]
pub(super) struct Item<'p> {
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

pub(super) async fn answer(
    api: Arc<Api>,
    known: Arc<KnownProducts>,
    request: QueryRequest,
) -> Result<Response, ApiError> {
    let wanted = UserPage::read(&request, "products")?;
    let responder = api.respond(&request, &wanted.depends_on()).await?;
    let products = ProductsAt::of(known, &responder);
    let of_few = products.clone();
    let few = move |generation: &Generation, read_set| few(generation, &of_few, wanted, read_set);
    let all = move |generation: &Generation, read_set, stop: &Stop| {
        all(generation, &products, wanted, read_set, stop)
    };
    responder.answer_any(READ_INLINE_ROWS_MAX, few, all).await
}

/// None if there is more than can be read at once.
fn few(
    generation: &Generation,
    products: &ProductsAt,
    wanted: UserPage,
    read_set: ReadSet,
) -> Result<Option<Body>, ApiError> {
    wanted.check_exists(generation)?;
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
    wanted: UserPage,
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
    wanted: UserPage,
    gathered: &Gathered,
    mut read_set: ReadSet,
) -> Result<Body, ApiError> {
    let (page, next) = gathered.page(wanted.from, wanted.limit);
    let rows = products.rows(generation, page.iter().map(|ordered| ordered.product_id), &mut read_set)?;
    let items = page.iter().zip(&rows).map(|(ordered, row)| item(ordered, row)).collect();
    wanted.body(Items::Products(items), next, read_set)
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
