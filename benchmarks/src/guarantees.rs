//! What the guarantees cost, as one table: answers that wait for the disk or for Kafka, on one broker and on three; what is
//! kept to heal a log; how long a store takes to be rebuilt, and an outbox to be sent after an outage.
//!
//! It starts its own brokers, because it takes some of them away.

mod bare;
mod commands;
mod kept;
mod outage;
mod recover;
mod service;

use crate::broker::Broker;
use crate::table::Table;
use crate::{Outcome, Scale, figures};

/// Numbers of brokers that answers are measured on.
const BROKERS: [i32; 2] = [1, 3];

/// What is measured.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct GuaranteesFlags {
    /// Only how fast answers are; what is kept, recovery and an outage are left out.
    #[arg(long)]
    answers_only: bool,
}

/// What all parts of the measurement share.
struct Bench<'b> {
    scale: &'b Scale,
    table: Table,
}

/// Measures everything, then prints the table; if something fails, what there is of it.
pub(crate) async fn measure(scale: &Scale, flags: GuaranteesFlags) -> Outcome {
    println!("{}", figures::heading(scale, "brokers of its own on the same machine"));
    let mut bench = Bench { scale, table: Table::default() };
    let measured = bench.measure(flags).await;
    let held = bench.table.print();
    measured.and(held)
}

impl Bench<'_> {
    async fn measure(&mut self, flags: GuaranteesFlags) -> Outcome {
        for count in BROKERS {
            let broker = Broker::start(count)?;
            self.commands(&broker, count).await?;
            if count == 1 && !flags.answers_only {
                self.kept(&broker).await?;
                self.recover(&broker).await?;
                self.outage(&broker).await?;
            }
        }
        Ok(())
    }
}

fn brokers(count: i32) -> String {
    if count == 1 { "1 broker".to_owned() } else { format!("{count} brokers") }
}
