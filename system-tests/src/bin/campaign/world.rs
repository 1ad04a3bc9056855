//! The processes: Kafka, services A, B, C and D, and replays, all on ports of their own that never change.

pub(crate) mod cluster;
mod proxy;
pub(crate) mod replays;
pub(crate) mod service;

use std::path::{Path, PathBuf};

use event_log::Kafka;
use quickstart::client::Client;
use quickstart::shop::Urls;
use tokio::runtime::Handle;

use crate::Fallible;
use crate::flags::Flags;
use cluster::Cluster;
use replays::Replays;
use service::Service;

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 3;
/// Index of service C.
pub(crate) const ORDERS: usize = 2;
/// Index of service D.
pub(crate) const QUERY: usize = 3;
/// Binary and directory of each service.
const SERVICES: [(&str, &str); 4] =
    [("users", "users"), ("products", "products"), ("orders", "orders"), ("query-api", "read-model")];
/// D had better not answer than answer from before where it was killed, however long the brokers are away.
const QUERY_FLAGS: [&str; 2] = ["--catch-up-ms-max", "3600000"];
/// Ports of the services come after those of the brokers and their controllers.
const SERVICE_PORT: u16 = 10;

/// Everything that runs.
pub(crate) struct World {
    /// Kafka.
    pub(crate) cluster: Cluster,
    /// A, B, C and D.
    pub(crate) services: Vec<Service>,
    /// Replays of D beside it.
    pub(crate) replays: Replays,
    /// What ended without being told to.
    pub(crate) unasked: Vec<String>,
}

impl World {
    /// Starts Kafka and the services, and waits until all are ready.
    pub(crate) fn start(flags: &Flags, directory: &Path, client: &Client, handle: &Handle) -> Fallible<Self> {
        let cluster = Cluster::start(&directory.join("kafka"), &flags.brokers, flags.port, handle)?;
        let shared = shared_flags(&cluster, &flags.brokers);
        let services = SERVICES.iter().zip(flags.port + SERVICE_PORT..).map(|((binary, data), port)| {
            let own = if *binary == SERVICES[QUERY].0 { &QUERY_FLAGS[..] } else { &[] };
            let flags: Vec<_> =
                shared.iter().cloned().chain(own.iter().map(|flag| (*flag).to_owned())).collect();
            Service::new(binary, &directory.join(data), port, &flags, client.clone(), handle.clone())
        });
        let services = services.collect();
        let replays = Replays::new(&shared, &directory.join(SERVICES[QUERY].1));
        let mut world = Self { cluster, services, replays, unasked: Vec::new() };
        for index in 0..world.services.len() {
            world.service(index)?.start();
        }
        world.all_ready()?;
        Ok(world)
    }

    /// One of the services.
    pub(crate) fn service(&mut self, index: usize) -> Fallible<&mut Service> {
        self.services.get_mut(index).ok_or_else(|| format!("there is no service {index}").into())
    }

    /// Waits until every service is ready; starts those that do not run.
    pub(crate) fn all_ready(&mut self) -> Fallible<()> {
        for service in &mut self.services {
            service.ready()?;
        }
        Ok(())
    }

    /// Waits until services C and D are ready: A and B are no longer needed.
    pub(crate) fn readers_ready(&mut self) -> Fallible<()> {
        self.service(ORDERS)?.ready()?;
        self.service(QUERY)?.ready()
    }

    /// Notes services that ended though nobody told them to, and replays that found a difference.
    pub(crate) fn look(&mut self) {
        let Self { services, replays, unasked, .. } = self;
        unasked.extend(services.iter_mut().filter_map(Service::ended_unasked));
        unasked.extend(replays.look());
    }

    /// Where the services listen.
    pub(crate) fn urls(&self) -> Urls {
        let url =
            |index: usize| self.services.get(index).map(|service| service.url.clone()).unwrap_or_default();
        Urls { users: url(0), products: url(1), orders: url(ORDERS), query: url(QUERY) }
    }

    /// How to read the log.
    pub(crate) fn kafka(&self) -> Kafka {
        kafka(&self.cluster.bootstrap)
    }

    /// D's directory.
    pub(crate) fn read_model(&self) -> PathBuf {
        self.services.get(QUERY).map(|service| service.data_dir.clone()).unwrap_or_default()
    }
}

fn kafka(brokers: &str) -> Kafka {
    Kafka { brokers: brokers.to_owned(), options: Vec::new(), topic_prefix: String::new(), embedded: false }
}

fn shared_flags(cluster: &Cluster, brokers: &str) -> Vec<String> {
    let partitions = PARTITIONS.to_string();
    let flags =
        ["--brokers", &cluster.bootstrap, "--partitions", &partitions, "--replication-factor", brokers];
    flags.map(str::to_owned).to_vec()
}
