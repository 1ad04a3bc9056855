//! The outbox of the store that is about to be replaced, as far as it can still be read.
//!
//! While the log is read, every event that the outbox still has is compared with the log's event at its position. What
//! then lies behind the end of the log, contiguous with it, was never sent or is lost there, and can be taken over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use schemas::envelope;
use uuid::Uuid;

use super::leftover::{Fault, Leftover, leftover};
use crate::kernel::directory::{index_of, journal_of};
use crate::kernel::group::GroupError;
use crate::kernel::index::{self, Reach};
use crate::kernel::log_tail::Tail;
use crate::kernel::outbox::OutboxRow;
use crate::kernel::recorded::{Recorded, outbox_rows, recorded};
use crate::kernel::store::Store;

/// A position for which the outbox has no row.
const NO_ROW: &str = "there is no such row";

/// What there is of an old store.
pub(super) enum OldOutbox {
    /// There is none.
    Absent,
    /// There is one, and this is why nothing can be had of it.
    Unreadable(String),
    /// Open.
    Open(Opened),
}

/// An old store that could be opened.
pub(super) struct Opened {
    store: Store,
    partitions: Vec<Partition>,
}

struct Partition {
    recorded: Recorded,
    compared: Option<RowIds>,
    fault: Option<Fault>,
}

/// The row that the log's next event is compared with.
struct RowIds {
    first: u64,
    ids: Vec<Uuid>,
}

impl OldOutbox {
    /// Opens the old store, unless there is none. One that is damaged may make sled panic.
    pub(super) fn open(dir: &Path, partitions: i32, cache_bytes: u64) -> Self {
        if !dir.exists() {
            return Self::Absent;
        }
        let opened = catch_unwind(AssertUnwindSafe(|| Opened::open(dir, partitions, cache_bytes)));
        match opened {
            Ok(Ok(opened)) => Self::Open(opened),
            Ok(Err(error)) => Self::Unreadable(error.to_string()),
            Err(_) => Self::Unreadable("sled met damage that it does not expect".to_owned()),
        }
    }

    /// An event of the log: the old outbox must have the same one at its position, if it still has that position.
    pub(super) fn compare(&mut self, partition: i32, logged: Tail) {
        if let Self::Open(opened) = self {
            opened.compare(partition, logged);
        }
    }

    /// The old store is to be moved aside. What it could not write any more does not matter.
    pub(super) fn close(&self) {
        if let Self::Open(opened) = self
            && let Err(error) = opened.store.close()
        {
            tracing::warn!(%error, "the old store could not be closed in order");
        }
    }
}

/// Brings the old store to where its journal is, as far as that can be read.
fn redo(dir: &Path, store: &Store) -> Result<u64, String> {
    let found = daybook_journal::find_readable(&journal_of(dir)).map_err(|error| error.to_string())?;
    let reach = Reach { last: found.last_number(), synced: found.index_synced() };
    index::redo(store, &found.into_reader(), reach).map_err(|error| error.to_string())
}

impl Opened {
    fn open(dir: &Path, partitions: i32, cache_bytes: u64) -> Result<Self, GroupError> {
        let store = Store::open(&index_of(dir), cache_bytes)?;
        if let Err(reason) = redo(dir, &store) {
            tracing::error!(
                old_store = %dir.display(),
                reason,
                "the old store's journal cannot be read; what only it had is not taken over"
            );
        }
        let partition = |number| {
            let recorded = recorded(&store, number)?;
            Ok(Partition { recorded, compared: None, fault: None })
        };
        let partitions = (0..partitions).map(partition).collect::<Result<_, GroupError>>()?;
        Ok(Self { store, partitions })
    }

    fn compare(&mut self, number: i32, logged: Tail) {
        let (store, position) = (&self.store, logged.position);
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let kept = partition.recorded.kept_from..partition.recorded.counter.next;
        if matches!(partition.fault, Some(Fault::Other { .. })) || !kept.contains(&position) {
            return;
        }
        // A row that cannot be read does no harm if the ones after it are the log's again.
        partition.fault = match partition.id_at(store, number, position) {
            Ok(Some(id)) if id == logged.id => None,
            Ok(Some(store)) => Some(Fault::Other { position, log: logged.id, store }),
            Ok(None) => Some(Fault::Unreadable { position, detail: NO_ROW.to_owned() }),
            Err(error) => Some(Fault::Unreadable { position, detail: error.to_string() }),
        };
    }

    /// What is to be done with each partition, once the log has been read up to these ends.
    pub(super) fn leftovers(&self, ends: &[Option<Tail>]) -> Vec<Leftover> {
        let of = |(partition, end): (&Partition, &Option<Tail>)| {
            let in_log = end.map_or(0, |tail| tail.position + 1);
            leftover(&partition.recorded, partition.fault.clone(), in_log)
        };
        self.partitions.iter().zip(ends).map(of).collect()
    }

    /// The events of the row that has position `from`, from that one on.
    pub(super) fn row_from(&self, number: i32, from: u64) -> Result<OutboxRow, Fault> {
        let unreadable = |detail: String| Fault::Unreadable { position: from, detail };
        let rows = outbox_rows(&self.store, number, from, from + 1, 1);
        let mut rows = rows.map_err(|error| unreadable(error.to_string()))?;
        let (first, mut row) = rows.pop().ok_or_else(|| unreadable(NO_ROW.to_owned()))?;
        let before = from.saturating_sub(first).min(row.events.len() as u64);
        row.events.drain(..before as usize);
        if row.events.is_empty() { Err(unreadable(NO_ROW.to_owned())) } else { Ok(row) }
    }
}

impl Partition {
    fn id_at(&mut self, store: &Store, number: i32, position: u64) -> Result<Option<Uuid>, GroupError> {
        if self.compared.as_ref().is_none_or(|row| row.id(position).is_none()) {
            let rows = outbox_rows(store, number, position, position + 1, 1)?;
            self.compared = rows.first().map(|(first, row)| RowIds::of(*first, row));
        }
        Ok(self.compared.as_ref().and_then(|row| row.id(position)))
    }
}

impl RowIds {
    fn of(first: u64, row: &OutboxRow) -> Self {
        let id = |value: &[u8]| envelope::open(Some(value), Vec::new).map(|envelope| envelope.id);
        // Up to the first that is no event; the rest counts as missing.
        let ids = row.events.iter().map_while(|event| id(&event.value).ok());
        Self { first, ids: ids.collect() }
    }

    fn id(&self, position: u64) -> Option<Uuid> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.ids.get(index).copied()
    }
}
