//! What the events take that a service keeps after Kafka has them, to heal a log that lost its end.

use command_services::Limits;
use tempfile::TempDir;

use super::service::{Service, settings};
use super::{Bench, brokers};
use crate::Outcome;
use crate::broker::Broker;
use crate::figures::grouped;
use crate::loader::PARTITIONS;
use crate::table::mib;

impl Bench<'_> {
    /// Compares a service that keeps what it has sent with one that does not.
    pub(super) async fn kept(&mut self, broker: &Broker) -> Outcome {
        eprintln!("kept events ...");
        let bound = Limits::default().kept_events_max;
        let kept = self.store_bytes_per_event(broker, bound).await?;
        let without = self.store_bytes_per_event(broker, 0).await?;
        let told = format!("the store takes {kept:.0} bytes an event with them, {without:.0} without");
        let difference = kept - without;
        self.table.row("kept for healing", &brokers(1), &format!("{difference:.0} bytes/event"), &told);
        let most = bound * PARTITIONS as u64;
        let told = format!("{} events in each of {PARTITIONS} partitions", grouped(bound));
        let bytes = mib(Some((difference.max(0.0) * most as f64) as u64));
        self.table.row("kept for healing, at most", &brokers(1), &bytes, &told);
        Ok(())
    }

    async fn store_bytes_per_event(&self, broker: &Broker, kept_events_max: u64) -> Outcome<f64> {
        let directory = TempDir::with_prefix("daybook-guarantees-")?;
        let mut settings = settings(broker, &format!("kept-{kept_events_max}"), 1, directory.path());
        settings.limits.kept_events_max = kept_events_max;
        let service = Service::users(settings).await?;
        let load = service.sign_ups(0, self.scale.seconds).await?;
        service.drained().await?;
        service.stop().await?;
        let bytes = std::fs::metadata(directory.path().join("store/db"))?.len();
        Ok(bytes as f64 / load.answers() as f64)
    }
}
