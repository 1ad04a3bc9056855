//! Every speed that a document names, as a ratio against something run beside it: same machine, same minute, same data.
//!
//! `cargo run --release -p benchmarks -- all` needs a real Kafka: `--brokers`, or Java and Maven, with which it starts
//! one in a temporary directory. Figures of different machines or runs are not to be compared; ratios are.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod broker;
mod commands;
mod figures;
mod load;
mod loader;
mod reads;
mod replay;
mod shop;
mod visible;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any failure here ends the run with its sentence: a benchmark has nothing to recover.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures Daybook against something run beside it.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum What {
    /// Everything below, one after the other.
    All,
    /// Replay from offset zero against a bare consumer that only counts.
    Replay,
    /// Reads of a user's ordered products against a bare axum route with the same body.
    Reads,
    /// Commands of 64 clients against one fsync per command on the same disk.
    Commands,
    /// Time from sending a command until D's answer shows it, at 500 commands/s.
    Visible,
}

/// How much, how often, on which data.
#[derive(Debug, Clone, clap::Args)]
struct Scale {
    /// Events in the log for replay and reads.
    #[arg(long, default_value_t = 200_000, global = true)]
    events: u64,
    /// Seed of the made-up data.
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// Runs of each measurement; medians are printed.
    #[arg(long, default_value_t = 3, global = true)]
    runs: usize,
    /// Seconds of each measurement that has no natural end.
    #[arg(long, default_value_t = 5, global = true)]
    seconds: u64,
    /// A real Kafka; one is started if this is left out.
    #[arg(long, env = "DAYBOOK_TEST_BROKERS", global = true)]
    brokers: Option<String>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(measure(flags.what, &flags.scale)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {}", quickstart::shop::chain(error));
    ExitCode::FAILURE
}

async fn measure(what: What, scale: &Scale) -> Outcome {
    let broker = broker::Broker::find(scale.brokers.as_deref())?;
    let wanted = |this| what == What::All || what == this;
    println!("{}", figures::heading(scale, broker.name()));
    if wanted(What::Replay) || wanted(What::Reads) {
        let loaded = loader::load(&broker, scale)?;
        if wanted(What::Replay) {
            replay::measure(&loaded, scale)?;
        }
        if wanted(What::Reads) {
            reads::measure(&loaded, scale).await?;
        }
    }
    if wanted(What::Commands) {
        commands::measure(&broker, scale).await?;
    }
    if wanted(What::Visible) {
        visible::measure(&broker, scale).await?;
    }
    Ok(())
}
