//! Reads that take long: how many there are at once, and what becomes of them when nobody waits any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get as on_get;
use daybook_query::api::Api;
use daybook_query::as_of::ReadSet;
use daybook_query::responder::Body;
use daybook_query::service::Service;
use daybook_service::http::{ApiError, json};
use tokio::task::JoinHandle;

use crate::http::{Answer, get};
use crate::setting::{ready, until};
use crate::toy::{LAMPS, setting};

/// More than the runtime has threads for work that blocks.
const REQUESTS: usize = 600;

/// Where the reads of a test stand until it is opened, and how many came there.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    pub(crate) begun: AtomicUsize,
    told_to_stop: AtomicUsize,
}

impl Gate {
    pub(crate) fn pass(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let closed = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(closed, |is_open| !*is_open));
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn routes(self: &Arc<Self>) -> Router<Arc<Api>> {
        let gate = self.clone();
        Router::new().route("/all", on_get(async move |State(api)| read(api, gate.clone()).await))
    }
}

/// Opens it also when the test fails, so that the process can end.
pub(crate) struct Opens(pub(crate) Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        *self.0.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.opened.notify_all();
    }
}

async fn read(api: Arc<Api>, gate: Arc<Gate>) -> Result<Response, ApiError> {
    let read = move |_: &_, stop: &daybook_service::Stop| {
        gate.pass();
        gate.told_to_stop.fetch_add(usize::from(stop.requested()), Ordering::SeqCst);
        Body::of(&"all of it", 1, ReadSet::default())
    };
    Ok(json(StatusCode::OK, api.serving()?.read_many(read).await?.json))
}

async fn shows(router: &Router, lines: &[String]) {
    let all = async || {
        let text = get(router, "/metrics").await.text;
        lines.iter().all(|line| text.lines().any(|found| found == line)).then_some(())
    };
    until(&format!("{lines:?}"), all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_take_long_are_as_many_as_cores_and_go_with_their_clients() {
    let setting = setting();
    let gate = Arc::new(Gate::default());
    let _opens = Opens(gate.clone());
    let service = Service::start(&setting.settings(), LAMPS, gate.routes(), "a toy").await.unwrap();
    let router = service.router();
    ready(&router).await;
    let cores = available_parallelism().unwrap().get();
    let ask = || {
        let router = router.clone();
        tokio::spawn(async move { get(&router, "/all").await })
    };
    let figures = |at_work: usize, waiting: usize| {
        [format!("daybook_heavy_reads_at_work {at_work}"), format!("daybook_heavy_reads_waiting {waiting}")]
    };
    let asking: Vec<JoinHandle<Answer>> = (0..REQUESTS).map(|_| ask()).collect();
    shows(&router, &figures(cores, REQUESTS - cores)).await;
    get(&router, "/status").await.ok();

    asking.iter().for_each(JoinHandle::abort);
    shows(&router, &figures(cores, 0)).await;
    let late = ask();
    shows(&router, &figures(cores, 1)).await;
    assert_eq!(gate.begun.load(Ordering::SeqCst), cores, "the work of those who left is not done yet");
    gate.open();
    assert_eq!(late.await.unwrap().ok(), "all of it");
    shows(&router, &figures(0, 0)).await;
    let counts = [&gate.begun, &gate.told_to_stop].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts, [cores + 1, cores]);
    service.stop().await.unwrap();
}
