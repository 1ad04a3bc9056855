//! Service B over HTTP: its routes, bodies and answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use schemas::products::ProductDetails;
use serde::Deserialize;

use super::rules::{ProductChange, ProductCommand, Products};
use crate::fields::present;
use daybook_command::Service;
use daybook_command::http::{Body, Whole, command_on, command_on_new, guarded, show};

type Shared = State<Arc<Service<Products>>>;

/// The routes of service B.
pub(crate) fn router(service: Arc<Service<Products>>) -> Router {
    let routes = Router::new()
        .route("/products", post(create))
        .route("/products/{product_id}", get(show_product).patch(change).delete(discontinue));
    guarded(routes, service)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    title: String,
    image: String,
    price_cents: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    image: Option<String>,
    /// Null takes the price away.
    #[serde(default, deserialize_with = "present")]
    price_cents: Option<Option<Whole>>,
}

async fn create(State(service): Shared, request: Request) -> Response {
    let build = |product_id, body: &Body| {
        let Create { title, image, price_cents } = body.parse()?;
        let price_cents = price_cents.map(|Whole(cents)| cents);
        Ok(ProductCommand::Create(ProductDetails { product_id, title, image, price_cents }))
    };
    command_on_new(&service, request, build).await
}

async fn show_product(State(service): Shared, request: Request) -> Response {
    show(&service, request).await
}

async fn change(State(service): Shared, request: Request) -> Response {
    let build = |product_id, body: &Body| {
        let Change { title, image, price_cents } = body.parse()?;
        let price_cents = price_cents.map(|price| price.map(|Whole(cents)| cents));
        Ok(ProductCommand::Change(product_id, ProductChange { title, image, price_cents }))
    };
    command_on(&service, request, build).await
}

async fn discontinue(State(service): Shared, request: Request) -> Response {
    let build = |product_id, _: &Body| Ok(ProductCommand::Discontinue(product_id));
    command_on(&service, request, build).await
}
