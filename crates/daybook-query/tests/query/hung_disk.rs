//! Reads that wait for a disk which does not answer keep nobody else waiting.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get as on_get;
use daybook_projection::{Checkpoint, Generation, ReadModel};
use daybook_query::Settings;
use daybook_query::api::Api;
use daybook_query::as_of::ReadSet;
use daybook_query::responder::Body;
use daybook_query::run;
use daybook_service::Stop;
use daybook_service::http::{ApiError, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::heavy::{Gate, Opens};
use crate::toy::{LAMPS, TOPIC, setting};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Threads of the service that answer requests.
const WORKERS: usize = 2;
/// More requests than it has threads of any kind.
const REQUESTS: usize = 12;

/// A service with threads of its own, so that whoever asks it has others.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Running {
    fn start(threads: Runtime, settings: Settings, routes: Router<Arc<Api>>) -> Self {
        let (tell, reported) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let ended = thread::spawn(move || {
            threads.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let stopped = async { drop(stopped.await) };
                run::run(settings, LAMPS, routes, listener, stopped).await.unwrap();
            });
        });
        Self { address: reported.recv().unwrap(), stop, ended }
    }

    fn send(&self, path: &str) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n")?;
        Ok(stream)
    }

    fn get(&self, path: &str) -> String {
        let mut text = String::new();
        self.send(path).and_then(|mut stream| stream.read_to_string(&mut text)).unwrap_or_else(|error| {
            panic!("{path} is not answered: {error}");
        });
        text
    }

    fn says(&self, path: &str, what: &str) {
        until(what, || self.get(path).contains(what));
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.join().unwrap();
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "{what}: not in time");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Routes that read a row, and more than that, from a disk that does not answer before the gate is opened.
fn routes(gate: &Arc<Gate>) -> Router<Arc<Api>> {
    let (few, many) = (gate.clone(), gate.clone());
    Router::new()
        .route("/few", on_get(async move |State(api)| read_few(api, few.clone()).await))
        .route("/many", on_get(async move |State(api)| read_many(api, many.clone()).await))
}

async fn read_few(api: Arc<Api>, gate: Arc<Gate>) -> Result<Response, ApiError> {
    let read = move |_: &Generation| {
        gate.pass();
        Body::of(&"a row", 1, ReadSet::default())
    };
    Ok(json(StatusCode::OK, api.serving()?.read(1, read).await?.json))
}

async fn read_many(api: Arc<Api>, gate: Arc<Gate>) -> Result<Response, ApiError> {
    let read = move |_: &Generation, _: &Stop| {
        gate.pass();
        Body::of(&"all rows", 1, ReadSet::default())
    };
    Ok(json(StatusCode::OK, api.serving()?.read_many(read).await?.json))
}

#[test]
fn reads_that_wait_for_the_disk_keep_nobody_from_health_status_and_metrics() {
    let setting = setting();
    let gate = Arc::new(Gate::default());
    let threads = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let service = Running::start(threads, setting.settings(), routes(&gate));
    let opens = Opens(gate.clone());
    service.says("/health/ready", "200 OK");

    let asking: Vec<TcpStream> = (0..REQUESTS).map(|_| service.send("/few").unwrap()).collect();
    until("as many read as could take all threads", || gate.begun.load(Ordering::SeqCst) >= WORKERS);
    service.says("/metrics", &format!("daybook_http_requests_at_work {REQUESTS}\n"));
    for path in ["/health/live", "/health/ready", "/status", "/metrics"] {
        assert!(service.get(path).starts_with("HTTP/1.1 200 OK"), "{path}");
    }
    drop(opens);
    for mut answer in asking {
        let mut text = String::new();
        answer.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("a row\""), "{text}");
    }
    service.stop();
}

/// The read may have the very thread that waits for the network, while all others sleep.
#[test]
fn a_single_read_that_waits_for_the_disk_leaves_somebody_to_listen() {
    let setting = setting();
    let gate = Arc::new(Gate::default());
    let threads = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let service = Running::start(threads, setting.settings(), routes(&gate));
    let opens = Opens(gate.clone());
    service.says("/health/ready", "200 OK");

    let mut answer = service.send("/few").unwrap();
    until("it reads", || gate.begun.load(Ordering::SeqCst) == 1);
    for path in ["/health/live", "/health/ready", "/status", "/metrics"] {
        assert!(service.get(path).starts_with("HTTP/1.1 200 OK"), "{path}");
    }
    drop(opens);
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("a row\""), "{text}");
    service.stop();
}

#[test]
fn reads_that_take_all_threads_keep_no_new_generation_from_being_served() {
    let setting = setting();
    let gate = Arc::new(Gate::default());
    // A single thread for all that blocks: the first such read takes it.
    let mut threads = Builder::new_multi_thread();
    let threads = threads.worker_threads(WORKERS).max_blocking_threads(1).enable_all().build().unwrap();
    let service = Running::start(threads, setting.settings(), routes(&gate));
    let opens = Opens(gate.clone());
    service.says("/health/ready", "200 OK");

    let asking: Vec<TcpStream> = (0..REQUESTS).map(|_| service.send("/many").unwrap()).collect();
    until("a read has the thread", || gate.begun.load(Ordering::SeqCst) == 1);
    let read_model = ReadModel::open(&setting.data_dir()).unwrap();
    let zero = Checkpoint::zero([(TOPIC, crate::log::PARTITIONS)]);
    let path = read_model.path_of("gen-000002");
    Generation::create(&path, &LAMPS.layout(), &zero, "a test").unwrap().finish().unwrap();
    read_model.publish("gen-000002").unwrap();
    service.says("/status", r#""generation":"gen-000002""#);
    assert_eq!(gate.begun.load(Ordering::SeqCst), 1, "the reads still wait");
    drop(opens);
    drop(asking);
    service.stop();
}
