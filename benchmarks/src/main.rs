//! Every speed that a document names, as a ratio against something run beside it: same machine, same minute, same data.
//!
//! `cargo run --release -p benchmarks -- all` needs a real Kafka: `--brokers`, or Java and Maven, with which it starts
//! one in a temporary directory. Figures of different machines or runs are not to be compared; ratios are.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod broker;
mod commands;
mod consume;
mod figures;
mod guarantees;
mod load;
mod loader;
mod one_client;
mod reads;
mod rebuild;
mod replay;
mod shop;
mod table;
mod visible;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use guarantees::GuaranteesFlags;
use loader::Plan;
use rebuild::{RebuildFlags, child};

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

#[derive(Debug, Subcommand)]
enum What {
    /// The five below, one after the other.
    All,
    /// Replay from offset zero against a bare consumer that only counts.
    Replay,
    /// Reads of a user's ordered products against a bare axum route with the same body.
    Reads,
    /// Commands of 64 clients against one fsync per command on the same disk.
    Commands,
    /// How long one client waits for a command, against one write and fdatasync plus one POST to a bare axum route.
    OneClient,
    /// Time from sending a command until D's answer shows it, at 500 commands/s.
    Visible,
    /// Everything about the rebuild in one table: speed, memory, room, kills, reads beside it. Wants --events 10000000.
    Rebuild(RebuildFlags),
    /// What the guarantees cost, in one table, on brokers that it starts itself. Wants --events 1000000.
    Guarantees(GuaranteesFlags),
    #[command(hide = true)]
    ChildReplay(child::ReplayFlags),
    #[command(hide = true)]
    ChildConsume(child::ConsumeFlags),
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
    /// A real Kafka; one is started if this is left out. Not used by `guarantees`, which takes brokers away.
    #[arg(long, env = "DAYBOOK_TEST_BROKERS", global = true)]
    brokers: Option<String>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", daybook_service::program::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Outcome {
    let brokers = flags.scale.brokers.as_deref();
    match &flags.what {
        What::ChildReplay(of) => child::replay(brokers.unwrap_or_default(), of),
        What::ChildConsume(of) => child::consume(brokers.unwrap_or_default(), of),
        What::Guarantees(of) => {
            daybook_query::command_line::runtime()?.block_on(guarantees::measure(&flags.scale, *of))
        }
        what => {
            let broker = broker::Broker::find(brokers)?;
            daybook_query::command_line::runtime()?.block_on(measure(&broker, what, &flags.scale))
        }
    }
}

async fn measure(broker: &broker::Broker, what: &What, scale: &Scale) -> Outcome {
    if let What::Rebuild(flags) = what {
        return rebuild::measure(broker, scale, flags).await;
    }
    println!("{}", figures::heading(scale, broker.name()));
    let all = matches!(what, What::All);
    if all || matches!(what, What::Replay | What::Reads) {
        let plan = Plan { name: "log", events: scale.events, seed: scale.seed, one_user_orders: 0 };
        let loaded = loader::load(broker, &plan)?;
        if !matches!(what, What::Reads) {
            replay::measure(&loaded, scale)?;
        }
        if !matches!(what, What::Replay) {
            reads::measure(&loaded, scale).await?;
        }
    }
    if all || matches!(what, What::Commands) {
        commands::measure(broker, scale).await?;
    }
    if all || matches!(what, What::OneClient) {
        one_client::measure(broker, scale).await?;
    }
    if all || matches!(what, What::Visible) {
        visible::measure(broker, scale).await?;
    }
    Ok(())
}
