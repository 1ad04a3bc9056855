//! `GET /products` and `GET /products/{product_id}`: products as they were last described.
//!
//! The list stands in the order of product ids, and a cursor is the last id of a page. Ids of UUID version 7 begin with
//! a time, so new products come at the end.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use daybook_kafka::partition_for_key;
use daybook_projection::{Checkpoint, Generation};
use projector::products::{self, ProductRow};
use serde::Serialize;
use uuid::Uuid;

use daybook_query::answer::{self, Rendered};
use daybook_query::api::Api;
use daybook_query::asked::Asked;
use daybook_query::cursor;
use daybook_query::grounds::Grounds;
use daybook_query::marks::Marks;
use daybook_query::positions::Dependency;
use daybook_query::refusal::Refusal;
use daybook_query::serving::unreadable;

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
pub(super) async fn answer_list(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refusal> {
    let page = asked.page()?;
    let after = page.cursor.map(|text| cursor::read(SCOPE, &text)).transpose()?.map(Uuid::from_bytes);
    let serving = api.serving_after(&asked.after).await?;
    let grounds = Grounds::of(&serving).await?;
    let as_of = grounds.as_of(&[Dependency { topic: schemas::products::TOPIC, partition: None }]);
    let marks = grounds.marks();
    match serving.read(page.limit, move |generation| list(generation, after, page.limit, marks)).await {
        Ok(rendered) => Ok(answer::tagged(rendered, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of)),
    }
}

/// Answers `GET /products/{product_id}`.
pub(super) async fn answer_one(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Refusal> {
    let product_id = asked.id()?;
    asked.no_parameters()?;
    let serving = api.serving_after(&asked.after).await?;
    let grounds = Grounds::of(&serving).await?;
    let as_of = grounds.as_of(&[of(&grounds.checkpoint, product_id)]);
    let mut marks = grounds.marks();
    marks.depends_on(schemas::products::TOPIC, |key| key == product_id);
    let shown = marks.clone();
    match serving.read(1, move |generation| one(generation, product_id, marks)).await {
        Ok(rendered) => Ok(answer::tagged(rendered, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of).marks(&shown)),
    }
}

/// The partition that holds a product's events.
fn of(checkpoint: &Checkpoint, product_id: Uuid) -> Dependency {
    let topic = schemas::products::TOPIC;
    let key = product_id.as_hyphenated().to_string();
    Dependency { topic, partition: Some(partition_for_key(key.as_bytes(), checkpoint.partitions(topic))) }
}

fn list(
    generation: &Generation,
    after: Option<Uuid>,
    limit: usize,
    mut marks: Marks,
) -> Result<Rendered, Refusal> {
    // One more than asked for tells whether there is a next page.
    let mut rows = products::list(generation, after, limit + 1).map_err(|error| unreadable(&error))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(id, _)| cursor::write(SCOPE, id.as_bytes()));
    // A product of which nothing is known yet would stand on the page as well.
    let last = rows.last().filter(|_| more).map(|(id, _)| *id);
    let on_page = |key| after.is_none_or(|after| key > after) && last.is_none_or(|last| key <= last);
    marks.depends_on(schemas::products::TOPIC, on_page);
    let products: Vec<_> = rows.into_iter().map(|(id, row)| item(id, row)).collect();
    let items = products.len();
    let content = List { products, next, quarantined: marks.keys() };
    Ok(Rendered { body: answer::render(&content, items)?, marks })
}

fn one(generation: &Generation, product_id: Uuid, marks: Marks) -> Result<Rendered, Refusal> {
    let row = products::load(generation, product_id).map_err(|error| unreadable(&error))?;
    let row = row.ok_or_else(|| Refusal::unknown("product", product_id))?;
    let body = answer::render(&One { product: item(product_id, row), quarantined: marks.keys() }, 1)?;
    Ok(Rendered { body, marks })
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
