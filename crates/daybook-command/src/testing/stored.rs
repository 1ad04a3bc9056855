//! What lies in a service's store, and what becomes of it there.

use std::path::Path;

use daybook_store::Store;
pub use daybook_store::VALUE_BYTES_MAX;
pub(crate) use daybook_store::testing::read_behind;
#[cfg(test)]
pub(crate) use daybook_store::testing::settle;
pub use daybook_store::testing::{add_behind, copy_dir, flip};
use uuid::Uuid;

use super::service::TestService;
use crate::Aggregate;
use crate::store::rows::WaitingEvent;

/// Bytes that an event takes which waits behind another one of its key.
pub fn waiting_row_bytes(partition: i32, event_type: &str, data: &str) -> usize {
    WaitingEvent { partition, event_id: Uuid::nil(), event_type, data }.encode().len()
}

/// Removes the row of an outbox in a closed store that has this position.
pub fn without_outbox_row(store: &Path, partition: i32, position: u64) {
    let store = Store::open(store, 1 << 20).unwrap();
    let row = |position: u64| [&b"O"[..], &partition.to_be_bytes(), &position.to_be_bytes()].concat();
    let (key, _) = store.last(&(row(0), row(position + 1))).unwrap().unwrap();
    store.apply(vec![(key.to_vec(), None)]).unwrap();
    store.close().unwrap();
}

impl<A: Aggregate> TestService<A> {
    /// Reads what [`add_behind`] has put there.
    pub fn read_behind(&self) {
        read_behind(&self.service().store);
    }
}
