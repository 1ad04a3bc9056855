//! Commands per second and the slowest of a hundred answers, once durable here, or once Kafka has them as well.

use command_services::AnswerAfter;
use tempfile::TempDir;

use super::service::{CLIENTS, Service, settings};
use super::{Bench, brokers};
use crate::Outcome;
use crate::broker::Broker;
use crate::figures::{grouped, median};

impl Bench<'_> {
    /// Measures both on this many brokers.
    pub(super) async fn commands(&mut self, broker: &Broker, count: i32) -> Outcome {
        for (name, answer_after) in [("disk", AnswerAfter::Disk), ("kafka", AnswerAfter::Kafka)] {
            eprintln!("commands: --answer-after {name}, {} ...", brokers(count));
            let directory = TempDir::with_prefix("daybook-guarantees-")?;
            let mut settings = settings(broker, &format!("commands-{name}"), count, directory.path());
            settings.answer_after = answer_after;
            let service = Service::users(settings).await?;
            let (mut rates, mut p99s) = (Vec::new(), Vec::new());
            for run in 0..self.scale.runs {
                let load = service.sign_ups(run, self.scale.seconds).await?;
                rates.push(load.per_second());
                p99s.push(load.quantile_ms(0.99));
                // What waits for Kafka must not burden the next run.
                service.drained().await?;
            }
            service.stop().await?;
            let rate = format!("{} commands/s", grouped(median(rates) as u64));
            let p99 = format!("p99 {:.1} ms; {CLIENTS} clients sign up", median(p99s));
            self.table.row(&format!("--answer-after {name}"), &brokers(count), &rate, &p99);
        }
        Ok(())
    }
}
