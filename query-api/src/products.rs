//! `GET /products` and `GET /products/{product_id}`: products as they were last described.
//!
//! The list stands in the order of product ids, and a cursor is the last id of a page. Ids of UUID version 7 begin with
//! a time, so new products come at the end.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use daybook_projection::Generation;
use daybook_query::api::Api;
use daybook_query::as_of::DependsOn;
use daybook_query::as_of::ReadSet;
use daybook_query::cursor;
use daybook_query::errors::{unknown, unreadable};
use daybook_query::request::QueryRequest;
use daybook_query::responder::Body;
use daybook_service::http::ApiError;
use projector::products::{self, ProductRow};
use schemas::products::TOPIC;
use serde::Serialize;
use uuid::Uuid;

const SCOPE: &str = "/products";

#[derive(Serialize)]
struct List {
    products: Vec<Item>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
}

#[derive(Serialize)]
struct Item {
    product_id: Uuid,
    title: Option<String>,
    image: Option<String>,
    price_cents: Option<i64>,
    discontinued: bool,
}

#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    product: Item,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
}

/// Answers `GET /products`.
pub(super) async fn answer_list(
    State(api): State<Arc<Api>>,
    request: QueryRequest,
) -> Result<Response, ApiError> {
    let page = request.page()?;
    let after = page.cursor.map(|text| cursor::read(SCOPE, &text)).transpose()?.map(Uuid::from_bytes);
    let responder = api.respond(&request, &[DependsOn::Topic(TOPIC)]).await?;
    responder
        .answer(page.limit, move |generation, read_set| list(generation, after, page.limit, read_set))
        .await
}

/// Answers `GET /products/{product_id}`.
pub(super) async fn answer_one(
    State(api): State<Arc<Api>>,
    request: QueryRequest,
) -> Result<Response, ApiError> {
    let product_id = request.id()?;
    request.no_parameters()?;
    let responder = api.respond(&request, &[DependsOn::Key(TOPIC, product_id)]).await?;
    responder.answer(1, move |generation, read_set| one(generation, product_id, read_set)).await
}

fn list(
    generation: &Generation,
    after: Option<Uuid>,
    limit: usize,
    mut read_set: ReadSet,
) -> Result<Body, ApiError> {
    // One more than asked for tells whether there is a next page.
    let mut rows = products::list(generation, after, limit + 1).map_err(|error| unreadable(&error))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(id, _)| cursor::write(SCOPE, id.as_bytes()));
    // A product of which nothing is known yet would stand on the page as well.
    let last = rows.last().filter(|_| more).map(|(id, _)| *id);
    let on_page = |key| after.is_none_or(|after| key > after) && last.is_none_or(|last| key <= last);
    read_set.depends_on(TOPIC, on_page);
    // No product ever leaves the list: what is not on the page tells nothing.
    read_set.shows(TOPIC, rows.iter().map(|(id, _)| *id));
    let products: Vec<_> = rows.into_iter().map(|(id, row)| item(id, row)).collect();
    let items = products.len();
    let content = List { products, next, quarantined: read_set.quarantined() };
    Body::of(&content, items, read_set)
}

fn one(generation: &Generation, product_id: Uuid, read_set: ReadSet) -> Result<Body, ApiError> {
    let row = products::load(generation, product_id).map_err(|error| unreadable(&error))?;
    let row = row.ok_or_else(|| unknown("product", product_id))?;
    let content = One { product: item(product_id, row), quarantined: read_set.quarantined() };
    Body::of(&content, 1, read_set)
}

fn item(product_id: Uuid, row: ProductRow) -> Item {
    Item {
        product_id,
        title: row.title,
        image: row.image,
        price_cents: row.price_cents,
        discontinued: row.discontinued,
    }
}
