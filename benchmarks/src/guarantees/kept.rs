//! What the events take that a service keeps after Kafka has them, to heal a log that lost its end.

use std::time::{Duration, Instant};

use daybook_command::{Limits, Settings};
use daybook_kafka::{Polled, Reader, Start};
use schemas::users::TOPIC;
use tempfile::TempDir;

use super::service::{Service, settings};
use super::{Bench, brokers};
use crate::Outcome;
use crate::broker::Broker;
use crate::figures::grouped;
use crate::loader::PARTITIONS;
use crate::table::mib;

/// Events whose size is looked at.
const SAMPLE_EVENTS: u64 = 1_000;
/// How long they may take to come; where there are fewer, this long is waited in vain.
const SAMPLE_WITHIN: Duration = Duration::from_secs(10);
/// Lengths of key, trace context and value in an outbox row.
const LENGTHS_BYTES: usize = 12;

impl Bench<'_> {
    /// Tells how large a kept event is, and the whole store beside it.
    pub(super) async fn kept(&mut self, broker: &Broker) -> Outcome {
        eprintln!("kept events ...");
        let directory = TempDir::with_prefix("daybook-guarantees-")?;
        let settings = settings(broker, "kept", 1, directory.path());
        let service = Service::users(settings.clone()).await?;
        let load = service.sign_ups(0, self.scale.seconds).await?;
        service.drained().await?;
        service.stop().await?;
        let store = std::fs::metadata(directory.path().join("store/index/db"))?.len() / load.answers().max(1);
        let kept = tokio::task::spawn_blocking(move || event_bytes(&settings)).await??;
        let note = format!("as it is kept; the store's file took {} bytes an event in all", grouped(store));
        self.table.row("kept for healing", &brokers(1), &format!("{kept} bytes/event"), &note);
        let bound = Limits::default().kept_events_max;
        let most = mib(Some(kept * bound * PARTITIONS as u64));
        let note = format!("{} events in each of {PARTITIONS} partitions", grouped(bound));
        self.table.row("kept for healing, at most", &brokers(1), &most, &note);
        Ok(())
    }
}

/// Mean size of an event in an outbox row: it is kept as it was sent.
fn event_bytes(settings: &Settings) -> Outcome<u64> {
    let start = |partition| Start { topic: TOPIC.to_owned(), partition, offset: 0 };
    let reader = Reader::open(&settings.kafka, &(0..PARTITIONS).map(start).collect::<Vec<_>>())?;
    let (mut events, mut bytes) = (0, 0);
    let deadline = Instant::now() + SAMPLE_WITHIN;
    while events < SAMPLE_EVENTS && Instant::now() < deadline {
        if let Polled::Record(record) = reader.poll(deadline.saturating_duration_since(Instant::now()))? {
            let parts = [record.key().unwrap_or_default(), record.value().unwrap_or_default()];
            bytes += parts.iter().map(|part| part.len()).sum::<usize>() + LENGTHS_BYTES;
            events += 1;
        }
    }
    Ok(bytes as u64 / events.max(1))
}
