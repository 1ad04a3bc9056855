//! Durable commands of 64 clients, against one fsync per command by one writer on the same disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::broker::Broker;
use crate::shop::{BenchShop, address};
use crate::{Outcome, Scale, figures, load};

/// Clients that each have one command in flight.
const CLIENTS: usize = 64;
/// About what one command writes: state, outbox row, unique key.
const COMMAND_BYTES: usize = 1_024;

/// Measures both in turn.
pub(crate) async fn measure(broker: &Broker, scale: &Scale) -> Outcome {
    let bench = BenchShop::start(broker, "commands").await?;
    let users = address(&bench.urls.users)?;
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for run in 1..=scale.runs {
        beside.push(fsync_each(&std::env::temp_dir(), scale.seconds)?);
        let sign_up = move |client: usize, number: u64| {
            let email = format!("{run}-{client}-{number}@clients.example");
            load::post(
                "/users",
                "",
                &format!(r#"{{"email":"{email}","name":"Client","address":"12 Long Street"}}"#),
            )
        };
        ours.push(load::rate(users, CLIENTS, scale.seconds, 201, sign_up).await?);
        eprintln!("commands: run {run} of {}", scale.runs);
    }
    bench.stop().await?;
    figures::compare(
        "durable commands",
        "commands/s",
        ("POST /users over HTTP, 64 clients", ours),
        ("one write and fdatasync per command, one writer", beside),
    );
    Ok(())
}

fn fsync_each(directory: &Path, seconds: u64) -> Outcome<f64> {
    let directory = TempDir::with_prefix_in("daybook-fsync-", directory)?;
    let mut file = File::create(directory.path().join("log"))?;
    let command = [b'x'; COMMAND_BYTES];
    let started = Instant::now();
    let mut written = 0_u64;
    while started.elapsed() < Duration::from_secs(seconds) {
        file.write_all(&command)?;
        file.sync_data()?;
        written += 1;
    }
    Ok(written as f64 / started.elapsed().as_secs_f64())
}
