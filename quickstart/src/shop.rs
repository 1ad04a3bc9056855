//! Services A, B, C and D, started and stopped together.

use daybook::{App, AppError, AppSettings, Running};

/// A running shop. Call [`Shop::stop`] before the end, so that every store is closed in order.
#[derive(Debug)]
pub struct Shop {
    /// Base address of each service.
    pub urls: Urls,
    running: Running,
}

/// Base addresses, such as `http://127.0.0.1:8081`.
#[derive(Debug, Clone)]
pub struct Urls {
    /// Service A.
    pub users: String,
    /// Service B.
    pub products: String,
    /// Service C.
    pub orders: String,
    /// Service D.
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

impl Shop {
    /// Starts all services and waits until each is ready.
    ///
    /// # Errors
    /// [`AppError`] names the service. Whatever had been started is stopped again.
    pub async fn start(settings: &AppSettings) -> Result<Self, AppError> {
        Ok(Self::of(app().start(settings).await?))
    }

    /// Starts all services and waits for none.
    ///
    /// # Errors
    /// [`AppError::Listen`] if an address is taken; nothing has been started then.
    pub async fn launch(settings: &AppSettings) -> Result<Self, AppError> {
        Ok(Self::of(app().launch(settings).await?))
    }

    fn of(running: Running) -> Self {
        let url = |name: &str| running.url(name).unwrap_or_default();
        let urls = Urls {
            users: url("users"),
            products: url("products"),
            orders: url("orders"),
            query: url("query-api"),
        };
        Self { urls, running }
    }

    /// Waits until every service is ready.
    ///
    /// # Errors
    /// [`AppError::NotReady`], also for a service that has ended; [`Shop::stop`] then tells why.
    pub async fn ready(&self) -> Result<(), AppError> {
        self.running.ready().await
    }

    /// Completes when a service ends by itself, which none should; [`Shop::stop`] then tells why.
    pub async fn ended(&self) {
        self.running.ended().await;
    }

    /// Stops all services and waits for them.
    ///
    /// # Errors
    /// [`AppError::Ended`] for the first service that did not end well.
    pub async fn stop(self) -> Result<(), AppError> {
        self.running.stop().await
    }
}
