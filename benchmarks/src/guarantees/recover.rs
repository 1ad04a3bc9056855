//! How long `--recover` takes, from the start of a service to its first answer.

use std::time::Instant;

use tempfile::TempDir;

use super::Bench;
use super::service::{Service, settings};
use crate::Outcome;
use crate::broker::Broker;
use crate::figures::{grouped, median};
use crate::loader::{self, Plan};

/// What figures are measured for.
const MILLION: f64 = 1e6;

impl Bench<'_> {
    /// Rebuilds service C's store from a log of made-up events.
    pub(super) async fn recover(&mut self, broker: &Broker) -> Outcome {
        let Plan { events, .. } = self.plan();
        let loaded = loader::load(broker, &self.plan())?;
        let orders = loaded.orders;
        let mut seconds = Vec::new();
        for run in 1..=self.scale.runs {
            eprintln!("recover: run {run} of {} ...", self.scale.runs);
            let directory = TempDir::with_prefix("daybook-guarantees-")?;
            let mut settings = settings(broker, "recover", 1, directory.path());
            settings.kafka = loaded.kafka.clone();
            settings.recover = true;
            // Each run has a directory of its own, and so is another instance.
            settings.take_over = true;
            let began = Instant::now();
            let service = Service::orders(settings).await?;
            seconds.push(began.elapsed().as_secs_f64());
            service.stop().await?;
        }
        let seconds = median(seconds);
        let figure = format!("{:.1} s per million", seconds * MILLION / orders as f64);
        let note =
            format!("{} orders in {seconds:.1} s, from the start to the first answer", grouped(orders));
        self.table.row("--recover", &format!("{} events", grouped(events)), &figure, &note);
        Ok(())
    }

    fn plan(&self) -> Plan {
        Plan { name: "recover", events: self.scale.events, seed: self.scale.seed, one_user_orders: 0 }
    }
}
