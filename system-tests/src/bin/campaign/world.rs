//! The processes: Kafka, services A, B, C and D, and projectors, all on ports of their own that never change.

pub(crate) mod cluster;
pub(crate) mod disk;
pub(crate) mod projectors;
mod proxy;
pub(crate) mod service;

use std::path::{Path, PathBuf};
use std::time::Instant;

use daybook_kafka::{Kafka, topics};
use quickstart::client::Client;
use quickstart::shop::Urls;
use schemas::TOPICS;
use system_tests::process::Failpoint;
use tokio::runtime::Handle;

use crate::Fallible;
use crate::evidence::{DiskFault, Verified};
use crate::patience::Patience;
use cluster::Cluster;
use projectors::Projectors;
use service::Service;

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 3;
/// Index of service A.
pub(crate) const USERS: usize = 0;
/// Index of service B.
pub(crate) const PRODUCTS: usize = 1;
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

/// What worlds may differ in.
pub(crate) struct Plan<'p> {
    /// Where the services' directories are made.
    pub(crate) directory: &'p Path,
    /// First of their ports.
    pub(crate) port: u16,
    /// Stands before the names of topics.
    pub(crate) topic_prefix: &'p str,
    /// The service that has a fault built in.
    pub(crate) harmful: Option<Harmful<'p>>,
    /// How long is waited for the services.
    pub(crate) patience: Patience,
}

/// A service that has a fault built in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Harmful<'p> {
    /// Its index.
    pub(crate) service: usize,
    /// What goes wrong.
    pub(crate) failpoint: Failpoint,
    /// More flags of that service.
    pub(crate) flags: &'p [&'p str],
}

/// Everything that runs.
pub(crate) struct World {
    /// Kafka.
    pub(crate) cluster: Cluster,
    /// A, B, C and D.
    pub(crate) services: Vec<Service>,
    /// Projectors at work in D's directory.
    pub(crate) projectors: Projectors,
    /// What ended without being told to.
    pub(crate) unasked: Vec<String>,
    /// What was done to disks, and what came of it.
    pub(crate) disk_faults: Vec<DiskFault>,
    /// D's rows against a replay, after a generation was damaged.
    pub(crate) verified: Vec<Verified>,
    /// When nobody may have been held up.
    pub(crate) quiet: Vec<(Instant, Instant)>,
    topic_prefix: String,
    /// How long is waited for the services.
    pub(crate) patience: Patience,
}

impl World {
    /// Starts the services, and waits until all are ready.
    pub(crate) fn start(
        cluster: Cluster,
        plan: &Plan<'_>,
        client: &Client,
        handle: &Handle,
    ) -> Fallible<Self> {
        let shared = shared_flags(&cluster, plan.topic_prefix);
        let services = SERVICES.iter().enumerate().zip(plan.port + SERVICE_PORT..).map(
            |((index, (name, data)), port)| {
                let own = if index == QUERY { &QUERY_FLAGS[..] } else { &[] };
                let flags: Vec<_> =
                    shared.iter().cloned().chain(own.iter().map(|flag| (*flag).to_owned())).collect();
                let (data, ready) = (plan.directory.join(data), plan.patience.ready);
                let service = Service::new(name, &data, port, &flags, ready, client.clone(), handle.clone());
                let service = if index == QUERY { service } else { service.with_disk() };
                match plan.harmful.filter(|harmful| harmful.service == index) {
                    Some(harmful) => service.with(harmful.failpoint, harmful.flags),
                    None => service,
                }
            },
        );
        let services = services.collect();
        let projectors = Projectors::new(&shared, &plan.directory.join(SERVICES[QUERY].1));
        let (unasked, disk_faults, verified, quiet) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (topic_prefix, patience) = (plan.topic_prefix.to_owned(), plan.patience);
        let mut world = Self {
            cluster,
            services,
            projectors,
            unasked,
            disk_faults,
            verified,
            quiet,
            topic_prefix,
            patience,
        };
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

    /// Notes services that ended though nobody told them to, and projectors that found a difference.
    pub(crate) fn look(&mut self) {
        let Self { services, projectors, unasked, .. } = self;
        unasked.extend(services.iter_mut().filter_map(Service::ended_unasked));
        unasked.extend(projectors.look());
    }

    /// Where the services listen.
    pub(crate) fn urls(&self) -> Urls {
        let url =
            |index: usize| self.services.get(index).map(|service| service.url.clone()).unwrap_or_default();
        Urls { users: url(USERS), products: url(PRODUCTS), orders: url(ORDERS), query: url(QUERY) }
    }

    /// How to read the log.
    pub(crate) fn kafka(&self) -> Kafka {
        let (brokers, topic_prefix) = (self.cluster.bootstrap.clone(), self.topic_prefix.clone());
        Kafka { brokers, options: Vec::new(), topic_prefix, embedded: false }
    }

    /// How many records the log has.
    pub(crate) fn records(&self) -> Fallible<u64> {
        let partitions =
            TOPICS.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (*topic, partition)));
        let partitions: Vec<_> = partitions.collect();
        let watermarks = topics::all_watermarks(&self.kafka(), &partitions)?;
        Ok(watermarks.iter().map(|watermarks| watermarks.high.unsigned_abs()).sum())
    }

    /// Ends the services; Kafka is left to another world.
    pub(crate) fn end(self) -> Cluster {
        self.cluster
    }

    /// D's directory.
    pub(crate) fn read_model(&self) -> PathBuf {
        self.services.get(QUERY).map(|service| service.data_dir.clone()).unwrap_or_default()
    }
}

fn shared_flags(cluster: &Cluster, topic_prefix: &str) -> Vec<String> {
    let (partitions, replicas) = (PARTITIONS.to_string(), cluster.brokers.to_string());
    let mut flags =
        vec!["--brokers", &cluster.bootstrap, "--partitions", &partitions, "--replication-factor", &replicas];
    if !topic_prefix.is_empty() {
        flags.extend(["--topic-prefix", topic_prefix]);
    }
    flags.into_iter().map(str::to_owned).collect()
}
