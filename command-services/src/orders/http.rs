//! Service C over HTTP: its routes, bodies and answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use uuid::Uuid;

use super::rules::{OrderCommand, Orders, PlaceOrder};
use daybook_command::Service;
use daybook_command::http::{Body, Whole, command_on, command_on_new, guarded, id, show};

type Shared = State<Arc<Service<Orders>>>;

/// The routes of service C.
pub(crate) fn router(service: Arc<Service<Orders>>) -> Router {
    let routes = Router::new()
        .route("/orders", post(place))
        .route("/orders/{order_id}", get(show_order).delete(cancel));
    guarded(routes, service)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(deserialize_with = "id")]
    user_id: Uuid,
    #[serde(deserialize_with = "id")]
    product_id: Uuid,
    #[serde(default = "one")]
    quantity: Whole,
}

fn one() -> Whole {
    Whole(1)
}

async fn place(State(service): Shared, request: Request) -> Response {
    let build = |order_id, body: &Body| {
        let Place { user_id, product_id, quantity: Whole(quantity) } = body.parse()?;
        Ok(OrderCommand::Place(PlaceOrder { order_id, user_id, product_id, quantity }))
    };
    command_on_new(&service, request, build).await
}

async fn show_order(State(service): Shared, request: Request) -> Response {
    show(&service, request).await
}

async fn cancel(State(service): Shared, request: Request) -> Response {
    let build = |order_id, _: &Body| Ok(OrderCommand::Cancel(order_id));
    command_on(&service, request, build).await
}
