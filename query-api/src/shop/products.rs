//! `GET /products` and `GET /products/{product_id}`: products as they were last described.
//!
//! The list stands in the order of product ids, and a cursor is the last id of a page. Ids of UUID version 7 begin with
//! a time, so new products come at the end.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use event_log::partition_for_key;
use projector::kernel::{Checkpoint, Generation};
use projector::shop::products::{self, ProductRow};
use schemas::shop;
use serde::Serialize;
use uuid::Uuid;

use crate::kernel::answer;
use crate::kernel::api::Api;
use crate::kernel::asked::Asked;
use crate::kernel::cursor;
use crate::kernel::positions::{self, Dependency};
use crate::kernel::refusal::Refusal;
use crate::kernel::serving::unreadable;

const SCOPE: &str = "/products";

#[derive(Serialize)]
struct List {
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
}

/// Answers `GET /products`.
pub(super) async fn answer_list(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refusal> {
    let page = asked.page()?;
    let after = page.cursor.map(|text| cursor::read(SCOPE, &text)).transpose()?.map(Uuid::from_bytes);
    let serving = api.serving_after(&asked.after).await?;
    // Read before the rows: the answer holds at least what it says.
    let all = Dependency { topic: shop::products::TOPIC, partition: None };
    let as_of = positions::as_of(&serving.generation.checkpoint(), &[all]);
    match serving.read(page.limit, move |generation| list(generation, after, page.limit)).await {
        Ok(body) => Ok(answer::tagged(body, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of)),
    }
}

/// Answers `GET /products/{product_id}`.
pub(super) async fn answer_one(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refusal> {
    let product_id = asked.id()?;
    asked.no_parameters()?;
    let serving = api.serving_after(&asked.after).await?;
    let as_of = positions::as_of(
        &serving.generation.checkpoint(),
        &[of(&serving.generation.checkpoint(), product_id)],
    );
    match one(&serving.generation, product_id) {
        Ok(body) => Ok(answer::tagged(body, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of)),
    }
}

/// The partition that holds a product's events.
fn of(checkpoint: &Checkpoint, product_id: Uuid) -> Dependency {
    let topic = shop::products::TOPIC;
    let key = product_id.as_hyphenated().to_string();
    Dependency { topic, partition: Some(partition_for_key(key.as_bytes(), checkpoint.partitions(topic))) }
}

fn list(generation: &Generation, after: Option<Uuid>, limit: usize) -> Result<Vec<u8>, Refusal> {
    // One more than asked for tells whether there is a next page.
    let mut rows = products::list(generation, after, limit + 1).map_err(|error| unreadable(&error))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(id, _)| cursor::write(SCOPE, id.as_bytes()));
    let products: Vec<_> = rows.into_iter().map(|(id, row)| item(id, row)).collect();
    let items = products.len();
    answer::render(&List { products, next }, items)
}

fn one(generation: &Generation, product_id: Uuid) -> Result<Vec<u8>, Refusal> {
    let row = products::load(generation, product_id).map_err(|error| unreadable(&error))?;
    let row = row.ok_or_else(|| Refusal::unknown("product", product_id))?;
    answer::render(&item(product_id, row), 1)
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
