//! Service D: the shop's queries, answered from its own read model, which it follows from the log in the same process.
//!
//! One file per answer: [`ordered_products`] (the join that the whole service is for), `orders`, `products`. What answers
//! about a user share is in `user`.

pub mod ordered_products;
mod orders;
mod products;
mod user;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;

use daybook_query::api::Api;
use daybook_query::command_line::Defaults;
use daybook_query::request::QueryRequest;
use daybook_query::{Queries, RunError, Service, Settings, StartError};
use tokio::net::TcpListener;
use user::KnownProducts;

/// What the binary is called, and where it is by default.
pub const DEFAULTS: Defaults = Defaults {
    name: "query-api",
    about: "Daybook's service D: follows the log into the read model, and answers queries from it",
    listen: "127.0.0.1:8080",
    data_dir: "data/read-model",
};

/// Runs the shop's query service on a bound listener until `shutdown` ends. Requests at work are then answered, the
/// follower is stopped and the store closed.
/// Errors: [`RunError`] if it cannot start, or if there is nothing to serve and building it fails.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    daybook_query::run::run(settings, projector::projection(), queries(), listener, shutdown).await
}

/// Starts the shop's query service without a port; its router answers. `holder` says who this is, to others who find
/// the read model in use.
pub async fn start(settings: &Settings, holder: &str) -> Result<Service, StartError> {
    Service::start(settings, projector::projection(), queries(), holder).await
}

/// The shop's queries.
pub fn queries() -> Queries {
    let known = Arc::new(KnownProducts::default());
    let products_of_user = {
        let known = known.clone();
        |State(api): State<Arc<Api>>, request: QueryRequest| ordered_products::answer(api, known, request)
    };
    let orders_of_user =
        |State(api): State<Arc<Api>>, request: QueryRequest| orders::answer(api, known, request);
    Queries::new()
        .route("/users/{user_id}/products", get(products_of_user))
        .route("/users/{user_id}/orders", get(orders_of_user))
        .route("/products", get(products::answer_list))
        .route("/products/{product_id}", get(products::answer_one))
        .problems(schemas::PROBLEMS)
}
