//! The whole shop in this process, on topics of its own, with its stores in a temporary directory.

use std::net::SocketAddr;

use daybook::{AppSettings, Running};
use quickstart::shop::{Urls, app};
use tempfile::TempDir;

use crate::Outcome;
use crate::broker::Broker;
use crate::loader::PARTITIONS;

/// A running shop and its directory.
#[derive(Debug)]
pub(crate) struct BenchShop {
    /// The services.
    running: Running,
    pub(crate) urls: Urls,
    _directory: TempDir,
}

impl BenchShop {
    /// Starts it on fresh topics.
    pub(crate) async fn start(broker: &Broker, purpose: &str) -> Outcome<Self> {
        let directory = TempDir::with_prefix("daybook-bench-")?;
        let settings = AppSettings {
            kafka: broker.kafka(&format!("bench-{purpose}-{}-", std::process::id())),
            partitions: PARTITIONS,
            replication_factor: 1,
            data_dir: directory.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let running = app().start(&settings).await?;
        let urls = Urls::of(&running);
        Ok(Self { running, urls, _directory: directory })
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) -> Outcome {
        Ok(self.running.stop().await?)
    }
}

/// The socket address in a service's base address.
pub(crate) fn address(url: &str) -> Outcome<SocketAddr> {
    Ok(url.trim_start_matches("http://").parse()?)
}
