//! A log, a read model and a query service on them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use daybook_projection::{ReadModel, ReplayError, ReplayOptions, ReplayReport, replay};
use daybook_query::{Service, Settings, StartError};
use daybook_service::Stop;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::get;
use crate::log::{Log, PARTITIONS};
use crate::served::{projection, queries};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub(crate) struct Setting {
    pub(crate) log: Log,
    directory: TempDir,
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self::on(Log::start())
    }

    pub(crate) fn on(log: Log) -> Self {
        Self { log, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("read-model")
    }

    pub(crate) fn settings(&self) -> Settings {
        let settings = Settings::new(self.log.kafka(), PARTITIONS, self.data_dir());
        Settings { wait_ms_max: 60_000, ..settings }
    }

    pub(crate) async fn try_start(&self, settings: &Settings) -> Result<Service, StartError> {
        Service::start(settings, projection(), queries(), "a test").await
    }

    /// A service that has opened what is published.
    pub(crate) async fn open_with(&self, settings: &Settings) -> Service {
        let service = self.try_start(settings).await.unwrap();
        status(&service.router(), "open", |status| !status["generation"].is_null()).await;
        service
    }

    /// A service that answers.
    pub(crate) async fn serve(&self) -> Service {
        self.serve_with(&self.settings()).await
    }

    pub(crate) async fn serve_with(&self, settings: &Settings) -> Service {
        let service = self.try_start(settings).await.unwrap();
        ready(&service.router()).await;
        service
    }
}

/// As another process does.
pub(crate) async fn replayed(setting: &Setting, accept: Option<&str>) -> Result<ReplayReport, ReplayError> {
    let (kafka, data_dir) = (setting.log.kafka(), setting.data_dir());
    let accept_difference = accept.map(str::to_owned);
    let work = move || {
        let read_model = ReadModel::open(&data_dir).unwrap();
        let options =
            ReplayOptions { accept_difference, ..ReplayOptions::new(PARTITIONS, "another test".to_owned()) };
        replay(&kafka, &read_model, projection(), &options, |_| {}, &Stop::default())
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Waits until `/health/ready` says so.
pub(crate) async fn ready(router: &Router) {
    until("ready", async || (get(router, "/health/ready").await.status == 200).then_some(())).await;
}

/// Waits for a `/status` that fits.
pub(crate) async fn status(router: &Router, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let status = get(router, "/status").await.ok();
        if fits(&status) {
            return status;
        }
        assert!(began.elapsed() < DEADLINE, "{what}: not within a minute: {status}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Looks again and again until there is something, and fails after a minute.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "{what}: not within a minute");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
