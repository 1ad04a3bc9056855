//! Another writer is in force: what that means for who waits.

use crate::positions::Positions;
use crate::writer::Superseded;

impl Positions {
    /// Another writer is in force: this is what the log has of our own, and it will not have more; of partitions that nobody
    /// answers for it is not known.
    pub(crate) fn set_last_acknowledged(&self, own_ends: impl Iterator<Item = Option<u64>>) {
        let look = self.look();
        let ends = own_ends.zip(look.acknowledged.iter().zip(&look.durable));
        let last = |(end, (acknowledged, durable)): (Option<u64>, (&u64, &u64))| {
            end.map(|end| end.clamp(*acknowledged, *durable))
        };
        self.set_acknowledged(&ends.map(last).collect::<Vec<_>>());
    }

    /// Another writer is in force: nothing is accepted any more, and nobody waits for an acknowledgement.
    pub(crate) fn set_superseded(&self, superseded: Superseded) {
        self.superseded.send_replace(Some(superseded));
    }

    /// The writer that is in force in the place of this process.
    pub(crate) fn superseded(&self) -> Option<Superseded> {
        self.superseded.borrow().clone()
    }

    /// Completes when another writer is in force.
    pub(crate) async fn until_superseded(&self) -> Superseded {
        let mut watching = self.superseded.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        match watching.wait_for(Option::is_some).await.map(|found| found.clone()) {
            Ok(Some(superseded)) => superseded,
            _ => std::future::pending().await,
        }
    }
}
