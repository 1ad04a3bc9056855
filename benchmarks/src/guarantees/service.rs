//! One command service in this process, with settings of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use command_services::{orders, users};
use daybook_command::{AnswerAfter, Limits, RunError, Settings};
use daybook_service::ConnectionLimits;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::broker::Broker;
use crate::load::{self, Answer, Connection, Load, get};
use crate::loader::PARTITIONS;

/// Clients that each have one command in flight.
pub(super) const CLIENTS: usize = 64;
/// How long an outbox may take to be sent: minutes where it takes seconds.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// Pause between two looks at the outbox, or at a service that starts.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
const UNSENT: &str = "outbox_unsent_events";

type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running service.
pub(super) struct Service {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

/// Settings of a service on topics of its own, which lie on `brokers` brokers each.
pub(super) fn settings(broker: &Broker, purpose: &str, brokers: i32, data_dir: &Path) -> Settings {
    Settings {
        kafka: broker.kafka(&format!("bench-{purpose}-{}-", std::process::id())),
        partitions: PARTITIONS,
        replication_factor: brokers,
        data_dir: data_dir.to_owned(),
        recover: false,
        take_over: false,
        adopt_cluster: false,
        answer_after: AnswerAfter::Disk,
        limits: Limits::default(),
        connections: ConnectionLimits::default(),
    }
}

impl Service {
    /// Starts service A and waits until it answers.
    pub(super) async fn users(settings: Settings) -> Outcome<Self> {
        Self::start(|listener, shutdown| {
            tokio::spawn(daybook_command::run(settings, listener, shutdown, users::routes()))
        })
        .await
    }

    /// Starts service C and waits until it answers.
    pub(super) async fn orders(settings: Settings) -> Outcome<Self> {
        Self::start(|listener, shutdown| {
            tokio::spawn(daybook_command::run(settings, listener, shutdown, orders::routes()))
        })
        .await
    }

    async fn start(
        run: impl FnOnce(TcpListener, Shutdown) -> JoinHandle<Result<(), RunError>>,
    ) -> Outcome<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let shutdown = Box::pin(async {
            // An error means that the measurement has failed, which ends the service as well.
            let _ = stopped.await;
        });
        let service = Self { address, stop, task: run(listener, shutdown) };
        // While it starts it says so; one that does not start ends.
        while !service.task.is_finished() {
            if matches!(service.ask("/health/ready").await, Ok(answer) if answer.status == 200) {
                return Ok(service);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        service.stop().await?;
        Err("the service has ended before it was ready".into())
    }

    async fn ask(&self, path: &str) -> Outcome<Answer> {
        Connection::open(self.address).await?.send(&get(path, "")).await
    }

    async fn get(&self, path: &str) -> Outcome<String> {
        Ok(String::from_utf8(self.ask(path).await?.body)?)
    }

    /// Lets [`CLIENTS`] sign users up for some seconds.
    pub(super) async fn sign_ups(&self, run: usize, seconds: u64) -> Outcome<Load> {
        let sign_up = move |client: usize, number: u64| {
            let email = format!("{run}-{client}-{number}@clients.example");
            let body = format!(r#"{{"email":"{email}","name":"Client","address":"12 Long Street"}}"#);
            load::post("/users", "", &body)
        };
        load::run(self.address, CLIENTS, seconds, 201, sign_up).await
    }

    /// Events that Kafka has not acknowledged.
    pub(super) async fn unsent(&self) -> Outcome<u64> {
        let metrics = self.get("/metrics").await?;
        let line = metrics.lines().find(|line| !line.starts_with('#') && line.contains(UNSENT));
        let value = line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("no {UNSENT} in {metrics}").into())
    }

    /// Waits until Kafka has everything.
    pub(super) async fn drained(&self) -> Outcome {
        let deadline = Instant::now() + DRAINED_WITHIN;
        while self.unsent().await? > 0 {
            if Instant::now() > deadline {
                return Err("the outbox was not sent in time".into());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    /// Stops it in order.
    pub(super) async fn stop(self) -> Outcome {
        // An error means that it has ended by itself; the task tells why.
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}
