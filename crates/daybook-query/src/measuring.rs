//! What `/status` and `/metrics` say of the disk, measured beside them: who asks for it waits for no disk.

use std::sync::Arc;

use daybook_projection::ReadModel;
use daybook_projection::quarantine::unnamed;
use daybook_projection::read_model::Withdrawn;
use tokio::time::{MissedTickBehavior, interval};

use super::api::Api;
use super::limits::MEASURE_INTERVAL;
use super::serving::Serving;
use super::status::Rebuild;
use tokio::task::spawn_blocking;

#[derive(Debug, Clone, Default)]
pub struct Measured {
    served: Option<Served>,
    pub rebuild: Option<Rebuild>,
    pub withdrawn: Vec<Withdrawn>,
}

#[derive(Debug, Clone)]
struct Served {
    /// Counts what is served, see [`Serving::number`].
    number: u64,
    bytes_on_disk: Option<u64>,
    /// Events that it leaves out, and that `SKIPPED` does not name.
    skipped_unnamed: usize,
}

impl Measured {
    pub fn bytes_on_disk(&self, serving: u64) -> Option<u64> {
        self.of(serving)?.bytes_on_disk
    }

    /// Events that what is served as this number leaves out, and that `SKIPPED` does not name.
    pub fn skipped_unnamed(&self, serving: u64) -> Option<usize> {
        self.of(serving).map(|served| served.skipped_unnamed)
    }

    fn of(&self, serving: u64) -> Option<&Served> {
        self.served.as_ref().filter(|served| served.number == serving)
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
        let (serving, read_model) = (api.serving_now(), api.read_model.clone());
        let measured = move || Measured {
            served: serving.map(|serving| of_served(&serving, &read_model)),
            rebuild: read_model.rebuild_at_work().map(Rebuild::at_work),
            // A directory that cannot be read is reported when what is in it is opened.
            withdrawn: read_model.withdrawn().unwrap_or_default(),
        };
        api.measured.store(Arc::new(spawn_blocking(measured).await.unwrap_or_default()));
    }
}

fn of_served(serving: &Serving, read_model: &ReadModel) -> Served {
    // Before the file, which names an event before it is left out.
    let quarantine = serving.generation.quarantine();
    let skipped_unnamed = match quarantine.skipped() {
        [] => 0,
        // A file that cannot be read names nothing to a replay, either.
        left_out => unnamed(left_out, &read_model.skipped().unwrap_or_default()).len(),
    };
    Served { number: serving.number, bytes_on_disk: serving.generation.bytes_on_disk().ok(), skipped_unnamed }
}
