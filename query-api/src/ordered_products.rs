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
use daybook_query::answer::{self, Rendered};
use daybook_query::api::Api;
use daybook_query::asked::Asked;
use daybook_query::cursor;
use daybook_query::grounds::Grounds;
use daybook_query::limits::READ_INLINE_ROWS_MAX;
use daybook_query::marks::Marks;
use daybook_query::refusal::Refusal;
use daybook_query::serving::{Serving, unreadable};
use daybook_query::times::Time;
pub use gather::{Gathered, OrderedProduct};

#[derive(Serialize)]
struct Body<'p> {
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
    asked: Asked,
) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&asked)?;
    let serving = api.serving_after(&asked.after).await?;
    let grounds = Grounds::of(&serving).await?;
    let as_of = grounds.as_of(&user::depends_on(&grounds.checkpoint, wanted.user_id));
    let (products, marks) = (known.at(&serving, &grounds), user::marks(&grounds, wanted.user_id));
    match body(&serving, products, wanted, marks.clone()).await {
        Ok(rendered) => Ok(answer::tagged(rendered, as_of, asked.if_none_match.as_ref())),
        Err(refusal) => Err(refusal.as_of(as_of).marks(&marks)),
    }
}

impl Wanted {
    fn read(asked: &Asked) -> Result<Self, Refusal> {
        let user_id = asked.id()?;
        let page = asked.page()?;
        let after = page.cursor.map(|text| cursor::read(&scope(user_id), &text)).transpose()?;
        Ok(Self { user_id, after: after.map(u64::from_be_bytes), limit: page.limit })
    }
}

fn scope(user_id: Uuid) -> String {
    format!("/users/{user_id}/products")
}

async fn body(
    serving: &Serving,
    products: ProductsAt,
    wanted: Wanted,
    marks: Marks,
) -> Result<Rendered, Refusal> {
    let Wanted { user_id, .. } = wanted;
    let render_few = {
        let (products, marks) = (products.clone(), marks.clone());
        move |generation: &Generation| {
            user::check_exists(generation, user_id)?;
            let few = orders::page(generation, user_id, 0, READ_INLINE_ROWS_MAX);
            let few = few.map_err(|error| unreadable(&error))?;
            if few.next_index.is_some() {
                return Ok(None);
            }
            render(generation, &products, wanted, &Gathered::from_orders(&few.orders), marks).map(Some)
        }
    };
    if let Some(rendered) = serving.read(READ_INLINE_ROWS_MAX, render_few).await? {
        return Ok(rendered);
    }
    let render_all = move |generation: &Generation, stop: &Stop| {
        let mut gathered = Gathered::default();
        let read = orders::each(generation, user_id, |part| {
            part.iter().for_each(|order| gathered.add(order));
            if stop.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if read.map_err(|error| unreadable(&error))?.is_break() {
            return Err(Refusal::too_slow());
        }
        render(generation, &products, wanted, &gathered, marks)
    };
    serving.read_many(render_all).await
}

fn render(
    generation: &Generation,
    products: &ProductsAt,
    wanted: Wanted,
    gathered: &Gathered,
    mut marks: Marks,
) -> Result<Rendered, Refusal> {
    let (page, next) = gathered.page(wanted.after, wanted.limit);
    let rows = page.iter().map(|ordered| products.row(generation, ordered.product_id));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let shown = |key| page.iter().any(|ordered| ordered.product_id == key);
    marks.depends_on(schemas::products::TOPIC, shown);
    let items = page.iter().zip(&rows).map(|(ordered, row)| item(ordered, row)).collect();
    let next = next.map(|position| cursor::write(&scope(wanted.user_id), &position.to_be_bytes()));
    let content = Body { user_id: wanted.user_id, products: items, next, quarantined: marks.keys() };
    Ok(Rendered { body: answer::render(&content, page.len())?, marks })
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
