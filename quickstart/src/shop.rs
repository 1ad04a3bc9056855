//! Services A, B, C and D, started and stopped together.

mod listeners;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daybook_command::{AnswerAfter, Limits};
use daybook_kafka::Kafka;
use daybook_service::program::chain;
use daybook_service::{ConnectionLimits, EXIT_IN_USE, Stop, StopOnDrop};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::Client;
use listeners::Listeners;

/// How long all services together may take to become ready; a read model that is built from a long log takes longest.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// Pause between two looks at a service that is not ready yet.
const READY_POLL: Duration = Duration::from_millis(50);

/// Where the shop finds its log, keeps its stores and listens.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// The log.
    pub kafka: Kafka,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Replication factor of topics that do not exist yet.
    pub replication_factor: i32,
    /// Holds one directory per service: `users`, `products`, `orders`, `read-model`.
    pub data_dir: PathBuf,
    /// Where D listens; A, B and C listen on the next three ports, or on any if the port is 0.
    pub listen: SocketAddr,
}

/// A running shop. Call [`Shop::stop`] before the end, so that every store is closed in order.
#[derive(Debug)]
pub struct Shop {
    /// Base address of each service.
    pub urls: Urls,
    stop: StopOnDrop,
    services: Services,
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

/// Why the shop is not running.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A service ended by itself.
    #[error("service {service} ended: {detail}")]
    Ended {
        /// Name of the service.
        service: &'static str,
        /// Its own words.
        detail: String,
    },
    /// A service's directory is in use by another process.
    #[error("service {service}: {detail}")]
    InUse {
        /// Name of the service.
        service: &'static str,
        /// Its own words.
        detail: String,
    },
    /// A service did not become ready in time.
    #[error("service {service} at {url} was not ready within {} s", READY_WITHIN.as_secs())]
    NotReady {
        /// Name of the service.
        service: &'static str,
        /// Its address.
        url: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be set up")]
    Client(#[from] reqwest::Error),
}

impl ShopSettings {
    /// Directory of service D's read model.
    #[must_use]
    pub fn read_model_dir(&self) -> PathBuf {
        self.data_dir.join("read-model")
    }

    fn command_settings(&self, service: &str) -> daybook_command::Settings {
        daybook_command::Settings {
            kafka: self.kafka.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            data_dir: self.data_dir.join(service),
            recover: false,
            take_over: false,
            adopt_cluster: false,
            answer_after: AnswerAfter::Disk,
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
        }
    }
}

impl Shop {
    /// Starts all services and waits until each is ready.
    ///
    /// # Errors
    /// [`ShopError`] names the service. Whatever had been started is stopped again.
    pub async fn start(settings: &ShopSettings) -> Result<Self, ShopError> {
        let shop = Self::launch(settings).await?;
        match shop.ready().await {
            Ok(()) => Ok(shop),
            // A service that ended by itself says more than its neighbours' waiting.
            Err(error) => Err(shop.stop().await.err().unwrap_or(error)),
        }
    }

    /// Starts all services and waits for none.
    ///
    /// # Errors
    /// [`ShopError::Listen`] if an address is taken; nothing has been started then.
    pub async fn launch(settings: &ShopSettings) -> Result<Self, ShopError> {
        let listeners = Listeners::bind(settings.listen).await?;
        let urls = listeners.urls();
        let stopped = Stop::default();
        let stop = stopped.on_drop();
        Ok(Self { urls, stop, services: spawn(settings, listeners, &stopped) })
    }

    /// Waits until every service is ready.
    ///
    /// # Errors
    /// [`ShopError::NotReady`], also for a service that has ended; [`Shop::stop`] then tells why.
    pub async fn ready(&self) -> Result<(), ShopError> {
        let client = Client::new()?;
        let deadline = Instant::now() + READY_WITHIN;
        for ((service, handle), url) in self.services.iter().zip(self.urls.each()) {
            while !is_ready(&client, url).await {
                if handle.is_finished() || Instant::now() > deadline {
                    return Err(ShopError::NotReady { service, url: url.to_owned() });
                }
                tokio::time::sleep(READY_POLL).await;
            }
        }
        Ok(())
    }

    /// Completes when a service ends by itself, which none should; [`Shop::stop`] then tells why.
    pub async fn ended(&self) {
        while !self.services.iter().any(|(_, handle)| handle.is_finished()) {
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Stops all services and waits for them.
    ///
    /// # Errors
    /// [`ShopError::Ended`] for the first service that did not end well.
    pub async fn stop(self) -> Result<(), ShopError> {
        self.stop.request();
        let mut outcome = Ok(());
        for (service, handle) in self.services {
            let ended =
                handle.await.unwrap_or_else(|panic| Err(Ended { detail: panic.to_string(), in_use: false }));
            outcome = outcome.and(ended.map_err(|ended| ended.error(service)));
        }
        outcome
    }
}

async fn is_ready(client: &Client, url: &str) -> bool {
    let answer = client.get(&format!("{url}/health/ready")).send().await;
    answer.is_ok_and(|answer| answer.status == 200)
}

impl Urls {
    fn each(&self) -> [&str; 4] {
        [&self.users, &self.products, &self.orders, &self.query]
    }
}

type Services = Vec<(&'static str, JoinHandle<Result<(), Ended>>)>;

/// How a service ended that was not asked to.
#[derive(Debug)]
struct Ended {
    detail: String,
    in_use: bool,
}

impl Ended {
    fn error(self, service: &'static str) -> ShopError {
        let Self { detail, in_use } = self;
        if in_use { ShopError::InUse { service, detail } } else { ShopError::Ended { service, detail } }
    }
}

impl From<daybook_command::RunError> for Ended {
    fn from(error: daybook_command::RunError) -> Self {
        Self { detail: chain(&error), in_use: error.exit_code() == EXIT_IN_USE }
    }
}

impl From<daybook_query::RunError> for Ended {
    fn from(error: daybook_query::RunError) -> Self {
        Self { detail: chain(&error), in_use: error.is_in_use() }
    }
}

fn spawn(settings: &ShopSettings, listeners: Listeners, stopped: &Stop) -> Services {
    let of = |service| settings.command_settings(service);
    let users =
        daybook_command::run(of("users"), listeners.users, until(stopped), command_services::users::routes());
    let products = daybook_command::run(
        of("products"),
        listeners.products,
        until(stopped),
        command_services::products::routes(),
    );
    let orders = daybook_command::run(
        of("orders"),
        listeners.orders,
        until(stopped),
        command_services::orders::routes(),
    );
    let query =
        daybook_query::Settings::new(settings.kafka.clone(), settings.partitions, settings.read_model_dir());
    let query = query_api::run(query, listeners.query, until(stopped));
    vec![
        ("users", tokio::spawn(async { Ok(users.await?) })),
        ("products", tokio::spawn(async { Ok(products.await?) })),
        ("orders", tokio::spawn(async { Ok(orders.await?) })),
        ("query-api", tokio::spawn(async { Ok(query.await?) })),
    ]
}

/// Ends when the shop is told to stop, or is gone.
fn until(stopped: &Stop) -> impl Future<Output = ()> + Send + 'static {
    let stopped = stopped.clone();
    async move { stopped.cancelled().await }
}
