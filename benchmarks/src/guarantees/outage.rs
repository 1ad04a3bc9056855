//! How long an outbox takes to be sent once a broker that was away answers again.

use std::time::Instant;

use tempfile::TempDir;

use super::service::{Service, settings};
use super::{Bench, brokers};
use crate::Outcome;
use crate::broker::Broker;
use crate::figures::grouped;

impl Bench<'_> {
    /// Kills the only broker, lets events gather, and starts it again.
    pub(super) async fn outage(&mut self, broker: &Broker) -> Outcome {
        eprintln!("outage ...");
        let directory = TempDir::with_prefix("daybook-guarantees-")?;
        let service = Service::users(settings(broker, "outage", 1, directory.path())).await?;
        service.sign_ups(0, 1).await?;
        service.drained().await?;
        broker.kill_first()?;
        service.sign_ups(1, self.scale.seconds).await?;
        let waiting = service.unsent().await?;
        let starting = broker.start_first()?;
        let answers = tokio::task::spawn_blocking(move || starting.wait().map(|()| Instant::now()));
        let (answers_at, drained) =
            tokio::join!(answers, async { service.drained().await.map(|()| Instant::now()) });
        let seconds = drained?.saturating_duration_since(answers_at??).as_secs_f64();
        service.stop().await?;
        let note =
            format!("{} events waited; from the broker's first answer to an empty outbox", grouped(waiting));
        self.table.row("after an outage", &brokers(1), &format!("{seconds:.1} s"), &note);
        Ok(())
    }
}
