//! Plays real purchases through the shop: a file of the *Online Retail* data set (D. Chen, 2015, UCI Machine Learning
//! Repository, CC BY 4.0) becomes sign-ups, products, orders and cancellations, and D's answers are compared with what
//! the file itself says. Idempotency keys are made from the lines, so a second run changes nothing.
//!
//! Exit codes: 0 every answer is right, 1 something failed or differs, 2 usage.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod compare;
mod lines;
mod plan;
mod play;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use daybook::{Deployment, DeploymentFlags};
use daybook_service::program::chain;
use indicatif::{ProgressBar, ProgressStyle};
use quickstart::client::Client;
use quickstart::shop::{Urls, app};

/// Play real purchases through the shop and compare D's answers with the file.
#[derive(Debug, Parser)]
struct Flags {
    /// A file of the Online Retail data set: semicolons, UTF-8.
    file: PathBuf,
    #[command(flatten)]
    deployment: DeploymentFlags,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    daybook_service::init_logging(daybook_service::LogFormat::Text);
    let deployment = match flags.deployment.check() {
        Ok(deployment) => deployment,
        Err(errors) => {
            eprintln!("error: {errors}");
            return ExitCode::from(daybook_service::EXIT_USAGE);
        }
    };
    let outcome = tokio::runtime::Runtime::new().map_err(|error| error.to_string());
    match outcome.and_then(|runtime| runtime.block_on(import(&flags.file, &deployment))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(daybook_service::EXIT_FAILED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(daybook_service::EXIT_FAILED)
        }
    }
}

/// `Ok(false)`: everything ran, but D's answers differ from the file.
async fn import(file: &Path, deployment: &Deployment) -> Result<bool, String> {
    let plan = plan::plan(&lines::read(file)?);
    let site = deployment.prepare(&schemas::TOPICS).map_err(|error| chain(&error))?;
    let running = app().start(&site.settings).await.map_err(|error| chain(&error))?;
    let outcome = play_and_compare(&Urls::of(&running), &plan).await;
    running.stop().await.map_err(|error| chain(&error))?;
    outcome
}

async fn play_and_compare(urls: &Urls, plan: &plan::Plan) -> Result<bool, String> {
    let client = Client::new();
    let before = report::events_in_log(&client, urls).await.map_err(|error| chain(&error))?;
    let progress = bar(play::commands(plan));
    let player = play::Player::new(client.clone(), urls.clone(), progress.clone());
    let played = player.play(plan).await.map_err(|error| chain(&error))?;
    progress.finish();
    let elapsed = progress.elapsed();
    let comparison = compare::compare(&client, urls, plan, &played).await.map_err(|error| chain(&error))?;
    let after = report::events_in_log(&client, urls).await.map_err(|error| chain(&error))?;
    report::print(plan, elapsed, after - before, &comparison);
    Ok(comparison.differences.is_empty())
}

fn bar(commands: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} commands  {per_sec}  {eta} left");
    ProgressBar::new(commands).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
