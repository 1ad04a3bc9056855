//! Rows that many answers need, decoded once and kept in memory, never staler than the store itself.
//!
//! Why it is never stale: a row is kept together with how many events of its topic were projected *before* it was read
//! ([`ReadAt`]), so it holds at least those. An answer that begins when more events have been projected finds that the
//! row does not cover them, and reads it again. A row is read and put in its place under one lock, and only ever
//! replaced by one that was read later. A client that has seen a row of an event, here or past this cache, gets an answer as of a moment that counts
//! it, so none of his answers goes back in time. Each generation that is served counts for itself.
//!
//! What it costs: one event of the topic makes every row of it be read once more, when it is next asked for. It is meant
//! for topics that change seldom and are read all the time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use daybook_service::fires;
use uuid::Uuid;

use super::as_of::AsOf;
use super::limits::{CACHE_SHARD_ROWS_MAX, CACHE_SHARDS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAt {
    serving: u64,
    events: u64,
    releases: u64,
}

#[derive(Debug)]
pub struct RowCache<R> {
    shards: [RwLock<HashMap<Uuid, Held<R>>>; CACHE_SHARDS],
}

#[derive(Debug)]
struct Held<R> {
    at: ReadAt,
    row: Arc<R>,
}

impl ReadAt {
    /// The place of an answer that is made from serving number `serving` and rests on `as_of`, which must have been
    /// taken before any row is read. Positions only grow, so their sum over a topic's partitions grows with every
    /// event and stands for all of them. What is released from quarantine changes rows without a new position.
    pub fn new(serving: u64, as_of: &AsOf, topic: &str) -> Self {
        let of_topic = as_of.checkpoint.sources().filter(|(source, _)| &*source.topic == topic);
        let events = of_topic.map(|(_, at)| at.next_position).sum();
        Self { serving, events, releases: as_of.quarantine.releases() }
    }

    fn covers(self, other: Self) -> bool {
        self.serving == other.serving && self.events >= other.events && self.releases >= other.releases
    }
}

impl<R> Default for RowCache<R> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl<R> RowCache<R> {
    /// The row of `key` for an answer that begins at `at`; `read` fetches it if what is kept does not do.
    /// Errors: Those of `read`; nothing is kept then.
    pub fn get<E>(&self, key: Uuid, at: ReadAt, read: impl FnOnce() -> Result<R, E>) -> Result<Arc<R>, E> {
        // Ids of version 7 begin with a time and end at random.
        let shard = &self.shards[usize::from(key.as_bytes()[15]) % CACHE_SHARDS];
        if let Some(held) = shard.read().unwrap_or_else(PoisonError::into_inner).get(&key)
            && (held.at.covers(at) || fires("old-row"))
        {
            return Ok(held.row.clone());
        }
        let mut rows = shard.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= CACHE_SHARD_ROWS_MAX {
            rows.clear();
        }
        match rows.entry(key) {
            Entry::Occupied(held) if held.get().at.covers(at) => Ok(held.get().row.clone()),
            entry => {
                let row = Arc::new(read()?);
                entry.insert_entry(Held { at, row: row.clone() });
                Ok(row)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Uuid = Uuid::from_u128(1);

    fn at(serving: u64, events: u64) -> ReadAt {
        ReadAt { serving, events, releases: 0 }
    }

    fn get(cache: &RowCache<&'static str>, at: ReadAt, stored: &'static str) -> &'static str {
        *cache.get(KEY, at, || Ok::<_, ()>(stored)).unwrap()
    }

    #[test]
    fn a_row_is_read_again_only_after_an_event() {
        let cache = RowCache::default();
        assert_eq!(get(&cache, at(0, 1), "first"), "first");
        assert_eq!(get(&cache, at(0, 1), "unseen"), "first");
        assert_eq!(get(&cache, at(0, 2), "second"), "second");
        // An answer that began earlier and comes later: what it is given is newer than it needs.
        assert_eq!(get(&cache, at(0, 1), "unseen"), "second");
        assert_eq!(get(&cache, at(1, 1), "of another generation"), "of another generation");
    }

    #[test]
    fn a_row_is_read_again_after_a_release() {
        let cache = RowCache::default();
        assert_eq!(get(&cache, at(0, 1), "parked"), "parked");
        assert_eq!(get(&cache, ReadAt { releases: 1, ..at(0, 1) }, "released"), "released");
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = RowCache::default();
        assert_eq!(cache.get(KEY, at(0, 1), || Err("disk")), Err("disk"));
        assert_eq!(get(&cache, at(0, 1), "there"), "there");
    }

    #[test]
    fn it_is_bounded() {
        let cache = RowCache::default();
        for key in 0..u128::try_from(CACHE_SHARD_ROWS_MAX * CACHE_SHARDS * 2).unwrap() {
            cache.get(Uuid::from_u128(key), at(0, 1), || Ok::<_, ()>(())).unwrap();
        }
        assert!(cache.shards.iter().all(|shard| shard.read().unwrap().len() <= CACHE_SHARD_ROWS_MAX));
    }

    #[test]
    fn events_of_all_partitions_count() {
        let place = |first: u64, second: u64, other: u64| {
            let source = |topic: &str, partition, next_position| {
                let id = daybook_projection::SourceId { topic: topic.into(), partition };
                (id, daybook_projection::SourceCheckpoint { next_position, ..Default::default() })
            };
            let sources = [source("a", 0, first), source("a", 1, second), source("b", 0, other)];
            let checkpoint = std::sync::Arc::new(daybook_projection::Checkpoint::from_sources(sources));
            ReadAt::new(0, &AsOf { checkpoint, quarantine: std::sync::Arc::default() }, "a")
        };
        assert!(!place(9, 5, 0).covers(place(9, 6, 0)));
        assert!(!place(5, 5, 0).covers(place(6, 5, 0)));
        assert!(place(5, 5, 0).covers(place(5, 5, 9)));
    }
}
