//! What `/status` and `/metrics` say of the disk, measured beside them: who asks for it waits for no disk.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::api::Api;
use super::blocking::blocking;
use super::limits::MEASURE_INTERVAL;
use super::rebuild::Rebuild;

/// What was measured last.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Number of what was served then.
    serving: Option<u64>,
    /// Bytes of the generation's files.
    bytes_on_disk: Option<u64>,
    /// The rebuild at work, in whichever process.
    pub rebuild: Option<Rebuild>,
}

impl Measured {
    /// Bytes of the files of what is served as this number.
    #[must_use]
    pub fn bytes_on_disk(&self, serving: u64) -> Option<u64> {
        self.bytes_on_disk.filter(|_| self.serving == Some(serving))
    }
}

/// Measures now and then, and whenever something else is served, for as long as it is polled.
pub(super) async fn measure(api: Arc<Api>) {
    let mut ticks = interval(MEASURE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swaps = api.swaps();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // Never an error: the sender is the service's, which this one has as well.
            _ = swaps.changed() => {}
        }
        let serving = api.serving_now();
        let generation = serving.as_ref().map(|serving| serving.generation.clone());
        let read_model = api.read_model.clone();
        let look = move || {
            let bytes = generation.and_then(|generation| generation.bytes_on_disk().ok());
            (bytes, read_model.rebuild_at_work().map(Rebuild::at_work))
        };
        let (bytes_on_disk, rebuild) = blocking(look).await.unwrap_or_default();
        let serving = serving.map(|serving| serving.number);
        api.measured.store(Arc::new(Measured { serving, bytes_on_disk, rebuild }));
    }
}
