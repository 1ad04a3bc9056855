//! Commands per second and the slowest of a hundred answers, once durable here, or once Kafka has them as well.

use daybook_command::AnswerAfter;
use tempfile::TempDir;

use super::bare::Bare;
use super::service::{CLIENTS, Service, settings};
use super::{Bench, brokers};
use crate::Outcome;
use crate::broker::Broker;
use crate::figures::{grouped, median};
use crate::load::Load;

impl Bench<'_> {
    /// Measures both on this many brokers, and a bare producer beside them.
    pub(super) async fn commands(&mut self, broker: &Broker, count: i32) -> Outcome {
        self.bare(broker, count)?;
        for (name, answer_after) in [("disk", AnswerAfter::Disk), ("kafka", AnswerAfter::Kafka)] {
            eprintln!("commands: --answer-after {name}, {} ...", brokers(count));
            let directory = TempDir::with_prefix("daybook-guarantees-")?;
            let mut settings = settings(broker, &format!("commands-{name}"), count, directory.path());
            settings.answer_after = answer_after;
            let service = Service::users(settings).await?;
            let mut runs = Vec::new();
            // The first is not counted: brokers that were just started are slow.
            for run in 0..=self.scale.runs {
                runs.push(service.sign_ups(run, self.scale.seconds).await?);
                // What waits for Kafka must not burden the next run.
                service.drained().await?;
            }
            service.stop().await?;
            self.rates(&format!("--answer-after {name}"), count, "commands", &runs[1..]);
        }
        Ok(())
    }

    fn bare(&mut self, broker: &Broker, count: i32) -> Outcome {
        eprintln!("a bare producer, {} ...", brokers(count));
        let mut bare = Bare::open(broker, count)?;
        let runs: Vec<_> =
            (0..=self.scale.runs).map(|_| bare.records(self.scale.seconds)).collect::<Result<_, _>>()?;
        self.rates("a bare producer", count, "records", &runs[1..]);
        Ok(())
    }

    fn rates(&mut self, what: &str, count: i32, unit: &str, runs: &[Load]) {
        let rate = median(runs.iter().map(Load::per_second).collect()) as u64;
        let quantile = |quantile: f64| median(runs.iter().map(|run| run.quantile_ms(quantile)).collect());
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        let remark = format!("p50 {p50:.1} ms, p99 {p99:.1} ms; {CLIENTS} clients");
        self.table.row(what, &brokers(count), &format!("{} {unit}/s", grouped(rate)), &remark);
    }
}
