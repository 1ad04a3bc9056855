//! Reads of a user's ordered products from D, against a bare axum route that answers a constant body of the same size.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use daybook_projection::ReadModel;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::loader::{Loaded, PARTITIONS};
use crate::{Outcome, Scale, figures, load, replay};

/// Connections of the load generator.
const CLIENTS: usize = 64;

/// Measures both in turn.
pub(crate) async fn measure(loaded: &Loaded, scale: &Scale) -> Outcome {
    let directory = TempDir::with_prefix("daybook-reads-")?;
    tokio::task::block_in_place(|| replay::build(loaded, &ReadModel::open(directory.path())?).map(drop))?;
    let d = Serving::start(loaded, directory.path()).await?;
    let body = d.sample_body().await?;
    let bytes = body.len();
    let bare = serve_constant(body).await?;
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for run in 1..=scale.runs {
        let constant = load::get("/constant", "");
        beside.push(load::rate(bare, CLIENTS, scale.seconds, 200, move |_, _| constant.clone()).await?);
        ours.push(d.rate(scale.seconds).await?);
        eprintln!("reads: run {run} of {}", scale.runs);
    }
    figures::compare(
        &format!("GET /users/{{id}}/products, random users, {bytes} bytes"),
        "requests/s",
        ("query-api", ours),
        ("bare axum route, constant body of that size", beside),
    );
    Ok(())
}

/// D on a read model that lies there; stops when this is dropped.
pub(crate) struct Serving {
    _stop: oneshot::Sender<()>,
    address: SocketAddr,
    users: Arc<Vec<Uuid>>,
}

impl Serving {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(loaded: &Loaded, data_dir: &Path) -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = daybook_query::Settings::new(loaded.kafka.clone(), PARTITIONS, data_dir.to_owned());
        tokio::spawn(async move {
            let until = async {
                // Either way it is time to stop.
                let _ = stopped.await;
            };
            if let Err(error) = query_api::run(settings, listener, until).await {
                eprintln!("query-api: {}", daybook_service::program::chain(&error));
            }
        });
        ready(address).await?;
        Ok(Self { _stop: stop, address, users: Arc::new(loaded.users.clone()) })
    }

    /// Reads of random users per second, measured for so long.
    pub(crate) async fn rate(&self, seconds: u64) -> Outcome<f64> {
        let users = Arc::clone(&self.users);
        let read = move |client: usize, number: u64| load::get(&path(user(&users, client, number)), "");
        load::rate(self.address, CLIENTS, seconds, 200, read).await
    }

    async fn sample_body(&self) -> Outcome<Vec<u8>> {
        let mut connection = load::Connection::open(self.address).await?;
        Ok(connection.send(&load::get(&path(user(&self.users, 0, 0)), "")).await?.body)
    }
}

/// Spread over all users without a random generator in the hot loop.
fn user(users: &[Uuid], client: usize, number: u64) -> Uuid {
    let step = usize::try_from(number).unwrap_or(0).wrapping_mul(7_919).wrapping_add(client * 104_729);
    users[step % users.len()]
}

fn path(user: Uuid) -> String {
    format!("/users/{user}/products")
}

async fn ready(address: SocketAddr) -> Outcome {
    let client = quickstart::client::Client::new();
    for _ in 0..600 {
        let answer = client.get(&format!("http://{address}/health/ready")).send().await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err("query-api was not ready within a minute".into())
}

async fn serve_constant(body: Vec<u8>) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let body: &'static [u8] = Box::leak(body.into_boxed_slice());
    let router = Router::new()
        .route("/constant", get(move || async move { ([("content-type", "application/json")], body) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
