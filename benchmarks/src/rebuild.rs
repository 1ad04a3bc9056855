//! The rebuild of the read model, as one table: how fast, in how much memory and room, and what it does to others.
//!
//! Whatever is measured runs in a process of its own (this program starts itself), so that its memory is its own, it can
//! be killed, and no run finds what another one has left in memory.

mod beside;
pub(crate) mod child;
mod disk;
mod heading;
mod jar;
mod kill;
mod memory;
mod process;
mod speed;
mod streams;

use std::path::PathBuf;

use daybook_projection::replay::MEMORY_BYTES_DEFAULT;

use crate::broker::Broker;
use crate::figures::grouped;
use crate::loader::{self, Loaded, Plan};
use crate::table::Table;
use crate::{Outcome, Scale};
use jar::Found;

/// Size of the log that the big one is compared with.
const SMALL_LOG_EVENTS: u64 = 1_000_000;

/// What only this measurement needs to know.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RebuildFlags {
    /// Bytes of memory that a replay may sort in.
    #[arg(long, default_value_t = MEMORY_BYTES_DEFAULT)]
    memory: usize,
    /// Directory in which the named Kafka keeps its data, to tell how much room the topics take.
    #[arg(long)]
    kafka_data: Option<PathBuf>,
    /// Leave out Kafka Streams, which does the same job once; it needs Java and Maven.
    #[arg(long)]
    no_streams: bool,
}

/// A loaded log, as the table names it.
struct Log {
    name: String,
    loaded: Loaded,
    /// Digest of its rows, once some replay has reported it.
    digest: Option<String>,
}

/// What all parts of the measurement share.
struct Bench<'b> {
    scale: &'b Scale,
    flags: &'b RebuildFlags,
    table: Table,
}

/// Measures everything, then prints the table; if something fails, what there is of it.
pub(crate) async fn measure(broker: &Broker, scale: &Scale, flags: &RebuildFlags) -> Outcome {
    println!("{}", heading::heading(broker, scale, flags));
    let mut bench = Bench { scale, flags, table: Table::default() };
    let measured = bench.measure(broker).await;
    let held = bench.table.print();
    measured.and(held)
}

impl Bench<'_> {
    async fn measure(&mut self, broker: &Broker) -> Outcome {
        // First of all, so that a build that fails is reported at once.
        let streams = if self.flags.no_streams { Found::Not("--no-streams") } else { jar::build()? };
        let events = self.scale.events;
        let small_events = SMALL_LOG_EVENTS.min(events);
        let mut small = self.load(broker, "small", small_events, 0)?;
        let mut big = if events == small_events { None } else { Some(self.load(broker, "big", events, 0)?) };
        self.speed(&mut small, big.as_mut())?;
        let big = big.as_mut().unwrap_or(&mut small);
        match streams {
            Found::Built(jar) => self.streams(broker, &jar, big)?,
            Found::Not(why) => self.streams_not_run(why),
        }
        self.memory(big)?;
        self.memory(&mut self.load(broker, "one-user", small_events * 2, small_events)?)?;
        self.disk(big, self.flags.kafka_data.as_deref().or(broker.data_dir()))?;
        self.kill(big)?;
        self.beside(big).await
    }

    fn load(&self, broker: &Broker, name: &'static str, events: u64, one_user_orders: u64) -> Outcome<Log> {
        let plan = Plan { name, events, seed: self.scale.seed, one_user_orders };
        let loaded = loader::load(broker, &plan)?;
        let of_one_user = match one_user_orders {
            0 => String::new(),
            orders => format!(", {} of one user", grouped(orders)),
        };
        Ok(Log { name: format!("{} events{of_one_user}", grouped(events)), loaded, digest: None })
    }
}
