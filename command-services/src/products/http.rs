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
use daybook_command::http::{Body, command_on, command_on_new, guarded, show};

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
    price_cents: Option<i64>,
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
    price_cents: Option<Option<i64>>,
}

async fn create(State(service): Shared, request: Request) -> Response {
    let build = |product_id, body: &Body| {
        let Create { title, image, price_cents } = body.parse()?;
        Ok(ProductCommand::Create(ProductDetails { product_id, title, image, price_cents }))
    };
    command_on_new(&service, request, build).await
}

async fn show_product(State(service): Shared, request: Request) -> Response {
    show(&service, request, "product_id").await
}

async fn change(State(service): Shared, request: Request) -> Response {
    let build = |product_id, body: &Body| {
        let Change { title, image, price_cents } = body.parse()?;
        Ok(ProductCommand::Change(product_id, ProductChange { title, image, price_cents }))
    };
    command_on(&service, request, "product_id", build).await
}

async fn discontinue(State(service): Shared, request: Request) -> Response {
    let build = |product_id, _: &Body| Ok(ProductCommand::Discontinue(product_id));
    command_on(&service, request, "product_id", build).await
}
