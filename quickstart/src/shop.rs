//! Services A, B, C and D as one app.

use daybook::{App, Running};

/// Base addresses, such as `http://127.0.0.1:8081`.
#[derive(Debug, Clone)]
pub struct Urls {
    pub users: String,
    pub products: String,
    pub orders: String,
    pub query: String,
}

/// The shop, as its own binaries are made.
#[must_use]
pub fn app() -> App {
    App::new("daybook", "The whole shop in one process")
        .commands(command_services::users::routes())
        .commands(command_services::products::routes())
        .commands(command_services::orders::routes())
        .queries(projector::projection(), query_api::queries())
}

impl Urls {
    /// Those of a running shop.
    #[must_use]
    pub fn of(running: &Running) -> Self {
        let url = |name: &str| running.url(name).unwrap_or_default();
        Self {
            users: url("users"),
            products: url("products"),
            orders: url("orders"),
            query: url("query-api"),
        }
    }
}
