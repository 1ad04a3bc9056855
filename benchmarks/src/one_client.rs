//! How long one client waits for a durable command, against what it waits for at least: one write and fdatasync, and one
//! POST to a bare axum route that takes and gives as much.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::broker::Broker;
use crate::figures::median;
use crate::load::{Load, Times};
use crate::shop::{BenchShop, address};
use crate::{Outcome, Scale, load};

/// What one command takes of the journal.
const BLOCK_BYTES: usize = 4_096;
/// Of the file that is written to; its blocks are there before, as the journal's are.
const FILE_BLOCKS: u64 = 4_096;

/// Measures all three in turn.
pub(crate) async fn measure(broker: &Broker, scale: &Scale) -> Outcome {
    let bench = BenchShop::start(broker, "one-client").await?;
    let users = address(&bench.urls.users)?;
    let bare = bare().await?;
    let (mut ours, mut posts, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    // The first is not counted: what was just started is slow.
    for run in 0..=scale.runs {
        syncs.push(write_and_sync(&std::env::temp_dir(), scale.seconds)?);
        posts.push(load::run(bare, 1, scale.seconds, 201, move |_, number| sign_up(run, number)).await?);
        ours.push(load::run(users, 1, scale.seconds, 201, move |_, number| sign_up(run, number)).await?);
        eprintln!("one client: run {run} of {}", scale.runs);
    }
    bench.stop().await?;
    println!("one client, a durable command with its key");
    let rows = [("POST /users", &ours), ("bare axum POST", &posts), ("one write and fdatasync", &syncs)];
    for (name, runs) in rows {
        let quantile = |quantile| median(runs[1..].iter().map(|run| run.quantile_ms(quantile)).collect());
        println!("  {name:<46} p50 {:>7.3} ms, p99 {:>7.3} ms", quantile(0.5), quantile(0.99));
    }
    let p50 = |run: &Load| run.quantile_ms(0.5);
    let beside = posts.iter().zip(&syncs).map(|(post, sync)| p50(post) + p50(sync));
    let ratios: Vec<_> = ours.iter().map(p50).zip(beside).map(|(ours, beside)| ours / beside).collect();
    println!("  p50 against the sum of both, median of the runs {:>12.3}\n", median(ratios[1..].to_vec()));
    Ok(())
}

fn sign_up(run: usize, number: u64) -> Vec<u8> {
    let key = format!("idempotency-key: one-{run}-{number}\r\n");
    let email = format!("one-{run}-{number}@clients.example");
    load::post(
        "/users",
        &key,
        &format!(r#"{{"email":"{email}","name":"Client","address":"12 Long Street"}}"#),
    )
}

/// Answers what it is sent.
async fn bare() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let echo =
        |body: Bytes| async move { (StatusCode::CREATED, [("content-type", "application/json")], body) };
    let router = Router::new().route("/users", post(echo));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

fn write_and_sync(directory: &Path, seconds: u64) -> Outcome<Load> {
    let directory = TempDir::with_prefix_in("daybook-fsync-", directory)?;
    let file = File::create(directory.path().join("log"))?;
    let block = [b'x'; BLOCK_BYTES];
    for number in 0..FILE_BLOCKS {
        file.write_all_at(&block, number * BLOCK_BYTES as u64)?;
    }
    file.sync_all()?;
    let mut times = Times::begin()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    for number in 0.. {
        let began = Instant::now();
        if began >= until {
            break;
        }
        file.write_all_at(&block, number % FILE_BLOCKS * BLOCK_BYTES as u64)?;
        file.sync_data()?;
        times.took(began.elapsed());
    }
    Ok(times.end())
}
