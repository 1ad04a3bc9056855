//! Reads of a user's ordered products from D, against a bare axum route that answers a constant body of the same size.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use projector::kernel::ReadModel;
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
    let (stop, d) = serve_d(loaded, directory.path()).await?;
    let body = sample_body(d, &loaded.users).await?;
    let bytes = body.len();
    let bare = serve_constant(body).await?;
    let users = Arc::new(loaded.users.clone());
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for run in 1..=scale.runs {
        let constant = load::get("/constant", "");
        beside.push(load::rate(bare, CLIENTS, scale.seconds, 200, move |_, _| constant.clone()).await?);
        let users = Arc::clone(&users);
        let read = move |client: usize, number: u64| load::get(&path(user(&users, client, number)), "");
        ours.push(load::rate(d, CLIENTS, scale.seconds, 200, read).await?);
        eprintln!("reads: run {run} of {}", scale.runs);
    }
    // The receiver is gone only if D ended by itself, which the measurement would have shown.
    let _ = stop.send(());
    figures::compare(
        &format!("GET /users/{{id}}/products, random users, {bytes} bytes"),
        "requests/s",
        ("query-api", ours),
        ("bare axum route, constant body of that size", beside),
    );
    Ok(())
}

/// Spread over all users without a random generator in the hot loop.
fn user(users: &[Uuid], client: usize, number: u64) -> Uuid {
    let step = usize::try_from(number).unwrap_or(0).wrapping_mul(7_919).wrapping_add(client * 104_729);
    users[step % users.len()]
}

fn path(user: Uuid) -> String {
    format!("/users/{user}/products")
}

async fn serve_d(loaded: &Loaded, data_dir: &std::path::Path) -> Outcome<(oneshot::Sender<()>, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = query_api::Settings::new(loaded.kafka.clone(), PARTITIONS, data_dir.to_owned());
    tokio::spawn(async move {
        let until = async {
            // Either way it is time to stop.
            let _ = stopped.await;
        };
        if let Err(error) = query_api::run(settings, listener, until).await {
            eprintln!("query-api: {}", quickstart::shop::chain(&error));
        }
    });
    ready(address).await?;
    Ok((stop, address))
}

async fn ready(address: SocketAddr) -> Outcome {
    let client = quickstart::client::Client::new()?;
    for _ in 0..600 {
        let answer = client.get(&format!("http://{address}/health/ready")).send().await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err("query-api was not ready within a minute".into())
}

async fn sample_body(address: SocketAddr, users: &[Uuid]) -> Outcome<Vec<u8>> {
    let mut connection = load::Connection::open(address).await?;
    let answer = connection.send(&load::get(&path(user(users, 0, 0)), "")).await?;
    Ok(answer.body)
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
