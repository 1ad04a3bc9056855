//! A service in this process, on a directory that a power cut has left.

use std::path::Path;
use std::time::Duration;

use daybook_command::{AnswerAfter, Limits, Settings};
use daybook_kafka::Kafka;
use daybook_service::ConnectionLimits;
use quickstart::client::Client;
use system_tests::broker::PARTITIONS;
use system_tests::wait;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(2);

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Users,
    Products,
    Orders,
    Query,
}

/// It runs.
pub(crate) struct Restarted {
    pub(crate) url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), String>>,
}

impl Restarted {
    pub(crate) async fn start(which: Which, kafka: &Kafka, directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let (kafka, directory) = (kafka.clone(), directory.to_owned());
        let task = tokio::spawn(async move {
            let settings = || settings(kafka.clone(), &directory);
            match which {
                Which::Users => {
                    daybook_command::run(settings(), listener, stopped, command_services::users::routes())
                        .await
                        .map_err(said)
                }
                Which::Products => {
                    daybook_command::run(settings(), listener, stopped, command_services::products::routes())
                        .await
                        .map_err(said)
                }
                Which::Orders => {
                    daybook_command::run(settings(), listener, stopped, command_services::orders::routes())
                        .await
                        .map_err(said)
                }
                Which::Query => {
                    let settings = daybook_query::Settings::new(kafka.clone(), PARTITIONS, directory.clone());
                    query_api::run(settings, listener, stopped).await.map_err(said)
                }
            }
        });
        Self { url, stop, task }
    }

    /// Waits until it is ready; an error says with which words it ended before.
    pub(crate) async fn ready(mut self, client: &Client) -> Result<Self, String> {
        let deadline = tokio::time::Instant::now() + wait::DEADLINE;
        let ready = format!("{}/health/ready", self.url);
        loop {
            tokio::select! {
                ended = &mut self.task => return Err(format!("it does not start: {ended:?}")),
                answer = client.get(&ready).send() => match answer {
                    Ok(answer) if answer.status == 200 => return Ok(self),
                    answer if tokio::time::Instant::now() > deadline => {
                        return Err(format!("it does not become ready: {answer:?}"));
                    }
                    _ => tokio::time::sleep(POLL).await,
                },
            }
        }
    }

    /// Stops it in order: a command service hands over all that is not in the log.
    pub(crate) async fn stop(self) -> Result<(), String> {
        // Whoever has ended already says why.
        let _ = self.stop.send(());
        self.task.await.map_err(|error| error.to_string())?.map_err(|error| format!("it ended with: {error}"))
    }
}

fn settings(kafka: Kafka, directory: &Path) -> Settings {
    Settings {
        kafka,
        partitions: PARTITIONS,
        replication_factor: 1,
        data_dir: directory.to_owned(),
        recover: false,
        take_over: false,
        adopt_cluster: false,
        answer_after: AnswerAfter::Disk,
        limits: Limits { cache_bytes_max: 16 << 20, ..Limits::default() },
        connections: ConnectionLimits::default(),
    }
}

fn said(error: impl std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
