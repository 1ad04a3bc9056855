//! Which sent outbox rows are kept, so that a log that lost its end can be given it again, and which are pruned.

use std::time::{Duration, Instant};

use schemas::sequence::Reached;

use super::group::GroupError;
use super::keys;
use super::outbox::OutboxRow;
use super::recorded;
use super::rows::encode_reached;
use super::store::{Store, Writes};

/// Rows pruned at a time: a small batch between two looks at the outbox.
const PRUNE_ROWS_MAX: usize = 256;
/// Bytes of rows pruned at a time, of all partitions: one batch must stay small beside what may lie unsynced (see `store`).
const PRUNE_BYTES_MAX: usize = 128 * 1024;
/// How often the age of the oldest rows is looked at.
pub(crate) const AGE_PAUSE: Duration = Duration::from_secs(10);

/// Marks acknowledged prefixes and prunes what lies far enough behind them.
#[derive(Debug)]
pub(crate) struct Keeper {
    kept_events_max: u64,
    kept_age_max: Duration,
    marked: Vec<u64>,
    kept_from: Vec<u64>,
    looked_at_age: Option<Instant>,
}

impl Keeper {
    /// Begins with what the store has.
    pub(crate) fn open(
        store: &Store,
        marked: Vec<u64>,
        kept_events_max: u64,
        kept_age_max: Duration,
    ) -> Result<Self, GroupError> {
        let kept_from = (0..marked.len() as i32).map(|partition| recorded::recorded(store, partition));
        let kept_from = kept_from.map(|row| row.map(|row| row.kept_from)).collect::<Result<_, _>>()?;
        Ok(Self { kept_events_max, kept_age_max, marked, kept_from, looked_at_age: None })
    }

    /// The prefixes as they stand in the store.
    pub(crate) fn marked(&self) -> &[u64] {
        &self.marked
    }

    /// Writes the acknowledged prefixes, and prunes. Not synced: after a crash the relay repeats what was not marked. While
    /// as much lies unsynced as may, nothing is written: the committer syncs within a second.
    pub(crate) fn mark(
        &mut self,
        store: &Store,
        acknowledged: &[u64],
        places: &Places,
        now_ms: u64,
    ) -> Result<(), GroupError> {
        if store.is_full_of_unsynced() {
            return Ok(());
        }
        let mut writes = Writes::new();
        let mut bytes_left = PRUNE_BYTES_MAX;
        let check_age = self.looked_at_age.is_none_or(|at| at.elapsed() >= AGE_PAUSE);
        for (index, acknowledged) in acknowledged.iter().enumerate() {
            if self.marked[index] != *acknowledged {
                writes.push((keys::sent(index as i32), Some(acknowledged.to_be_bytes().to_vec())));
                writes.extend(place(store, index, *acknowledged, places)?);
            }
            let front = Front {
                acknowledged: *acknowledged,
                surplus: acknowledged.saturating_sub(self.kept_events_max),
                oldest_ms: now_ms.saturating_sub(self.kept_age_max.as_millis() as u64),
            };
            if check_age || self.kept_from[index] < front.surplus {
                self.prune(store, index, &front, &mut writes, &mut bytes_left)?;
            }
        }
        if check_age {
            self.looked_at_age = Some(Instant::now());
        }
        if !writes.is_empty() {
            store.apply(writes)?;
        }
        self.marked.copy_from_slice(acknowledged);
        Ok(())
    }

    /// Removes rows from the front: those wholly before `surplus`, and those that are too old; never an unsent one.
    fn prune(
        &mut self,
        store: &Store,
        index: usize,
        front: &Front,
        writes: &mut Writes,
        bytes_left: &mut usize,
    ) -> Result<(), GroupError> {
        let span = keys::outbox_span(index as i32, 0, front.acknowledged);
        for (key, value) in store.scan(&span, PRUNE_ROWS_MAX)? {
            let first = keys::outbox_position(&key).unwrap_or_default();
            let row = OutboxRow::decode(&value)?;
            let end = first + row.events.len() as u64;
            let superfluous = end <= front.surplus || row.committed_ms < front.oldest_ms;
            if end > front.acknowledged || !superfluous || *bytes_left == 0 {
                break;
            }
            *bytes_left = bytes_left.saturating_sub(value.len());
            writes.push((key.to_vec(), None));
            self.kept_from[index] = end;
        }
        Ok(())
    }
}

/// Where acknowledged events lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// Epoch of the writer that sent them.
    pub(crate) epoch: u32,
    /// Per partition: the offset right behind the last one, if this writer has sent any.
    pub(crate) behind: Vec<Option<i64>>,
}

/// Notes where the last acknowledged event lies, so that the next comparison need not read what is before it.
fn place(store: &Store, index: usize, acknowledged: u64, places: &Places) -> Result<Writes, GroupError> {
    let behind = places.behind.get(index).copied().flatten();
    let (Some(offset), Some(last)) = (behind, acknowledged.checked_sub(1)) else { return Ok(Writes::new()) };
    let last_id = recorded::kept_id(store, index as i32, last)?;
    let reached = Reached { offset, epoch: places.epoch, next_position: acknowledged, last_id };
    Ok(last_id.map(|_| (keys::mark(index as i32), Some(encode_reached(&reached)))).into_iter().collect())
}

/// Up to where rows of one partition may go.
struct Front {
    acknowledged: u64,
    /// Positions before this one are more than are to be kept.
    surplus: u64,
    /// Rows committed before this time are too old.
    oldest_ms: u64,
}
