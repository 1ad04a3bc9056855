//! `daybook`: the whole shop in one process, to see and to try. What `cargo run --release` runs.
//!
//! Exit codes: 0 stopped on request, 1 failed, 2 usage, 3 a directory is in use.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod log_line;
mod print;
mod rebuild;
mod story;

use std::process::ExitCode;

use clap::Parser;
use daybook::{Deployment, DeploymentFlags, Running, Site};
use daybook_service::program::chain;
use quickstart::client::Client;
use quickstart::shop::{Urls, app};

/// The whole shop in one process: a sandbox on an embedded broker, or on a real Kafka with --brokers and --data-dir.
#[derive(Debug, Parser)]
#[command(name = "daybook", version)]
struct Flags {
    #[command(flatten)]
    deployment: DeploymentFlags,
    /// Do not play the story (a user signs up, orders 'pants', D answers and is rebuilt) on an empty log.
    #[arg(long, env = "DAYBOOK_NO_DEMO")]
    no_demo: bool,
    #[command(flatten)]
    log: daybook_service::LogFlags,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let deployment = match flags.deployment.check() {
        Ok(deployment) => deployment,
        Err(errors) => return failed(&errors.to_string(), daybook_service::EXIT_USAGE),
    };
    daybook_service::init_logging(flags.log.log_format);
    let outcome = daybook_query::command_line::runtime().map_err(|error| error.to_string());
    match outcome.and_then(|runtime| runtime.block_on(run(&deployment, !flags.no_demo))) {
        Ok(code) => code,
        Err(error) => failed(&error, daybook_service::EXIT_FAILED),
    }
}

fn failed(error: &str, code: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}

async fn run(deployment: &Deployment, demo: bool) -> Result<ExitCode, String> {
    let site = deployment.prepare(&schemas::TOPICS).map_err(|error| chain(&error))?;
    print::site(&site.settings, site.sandbox.is_some());
    let running = match app().launch(&site.settings).await {
        Ok(running) => running,
        Err(error) => return Ok(failed(&chain(&error), error.exit_code())),
    };
    let outcome = tokio::select! {
        outcome = serve(&running, &site, demo) => outcome,
        () = running.ended() => Ok(()),
        () = daybook_service::shutdown_signal() => Ok(()),
    };
    println!("stopping ...");
    match (running.stop().await, outcome) {
        // A service that ended by itself says more than what came of it.
        (Err(error), _) => Ok(failed(&chain(&error), error.exit_code())),
        (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(())) => Ok(ExitCode::SUCCESS),
    }
}

/// Ends only with an error; otherwise it serves until it is dropped.
async fn serve(running: &Running, site: &Site, demo: bool) -> Result<(), String> {
    running.ready().await.map_err(|error| chain(&error))?;
    let (client, urls) = (Client::new(), Urls::of(running));
    let mut question = None;
    if demo && story::is_log_empty(&site.settings).await? {
        let played = story::play(&client, &urls, &site.settings.kafka).await?;
        rebuild::show(&client, &site.settings, &urls, &played).await?;
        question = Some(played.question);
    }
    print::serving(&urls, question.as_deref());
    std::future::pending().await
}
