//! Which idempotency keys are forgotten: those that have expired, a few with each commit, and the oldest early when they
//! become too many.
//!
//! **Guarantee**: a key is remembered for the least age at least, however many come. What room that leaves no longer is
//! there for new keys: commands with one are refused until the oldest are old enough. Whoever repeats a request within
//! the least age gets the first answer again, and nothing is decided twice.

use super::super::group::GroupError;
use super::super::keys;
use super::super::rows::decode_hashes;
use super::super::settings::Limits;
use super::super::store::{Store, Writes};
use super::Remembered;

/// Expiry rows looked at with one commit. One commit makes at most one, so this forgets faster than keys can come.
const EXPIRY_ROWS_MAX: usize = 4;
/// Keys counted at a time.
const COUNTED_ROWS_MAX: usize = 1_024;
/// Of the most keys that may be, one in so many is room in which the oldest are forgotten early.
const ROOM_FRACTION: u64 = 8;

/// Forgets keys, and knows how many there are.
#[derive(Debug)]
pub(crate) struct Forgetter {
    /// Before this time nothing expires.
    look_again_ms: u64,
    kept: u64,
    kept_max: u64,
    age_max_ms: u64,
    age_min_ms: u64,
}

impl Forgetter {
    /// Counts what the store has.
    pub(crate) fn open(store: &Store, limits: &Limits) -> Result<Self, GroupError> {
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            look_again_ms: 0,
            kept: count(store)?,
            kept_max: limits.idempotency_keys_max,
            age_max_ms: ms(limits.idempotency_age_max),
            age_min_ms: ms(limits.idempotency_age_min),
        })
    }

    /// Keys that the store has.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }

    /// Whether there is no room for another key beside these new ones.
    pub(crate) fn is_full(&self, new: u64) -> bool {
        self.kept.saturating_add(new) >= self.kept_max
    }

    /// The store has taken a batch with so many new keys, and without so many.
    pub(crate) fn written(&mut self, new: u64, forgotten: u64) {
        self.kept = (self.kept + new).saturating_sub(forgotten);
    }

    /// The writes that forget some of what may be forgotten at `now_ms`. Keys that are remembered from now on expire
    /// after the greatest age.
    pub(crate) fn forgettable(&mut self, store: &Store, now_ms: u64) -> Result<Writes, GroupError> {
        let crowded = self.kept >= self.kept_max - self.kept_max / ROOM_FRACTION;
        if now_ms < self.look_again_ms && !crowded {
            return Ok(Writes::new());
        }
        let last_ms = if crowded { self.crowded_until(now_ms) } else { now_ms };
        let mut writes = Writes::new();
        let rows = store.scan(&keys::expiries(), EXPIRY_ROWS_MAX)?;
        self.look_again_ms =
            if rows.len() < EXPIRY_ROWS_MAX { now_ms.saturating_add(self.age_max_ms) } else { now_ms };
        for (row, hashes) in rows {
            let expires_ms = keys::expires_ms(&row);
            if expires_ms > last_ms {
                self.look_again_ms = expires_ms;
                break;
            }
            forget(store, expires_ms, &hashes, &mut writes)?;
            writes.push((row.to_vec(), None));
        }
        Ok(writes)
    }

    /// The expiry of keys that have the least age now.
    fn crowded_until(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(self.age_max_ms.saturating_sub(self.age_min_ms))
    }
}

fn forget(store: &Store, expires_ms: u64, hashes: &[u8], writes: &mut Writes) -> Result<(), GroupError> {
    for hash in decode_hashes(hashes)? {
        let key = keys::idempotency(&hash);
        // A key that was used again since expires later, by another row.
        let of_this_row = match store.get(&key)? {
            Some(value) => Remembered::expires_ms(&value)? <= expires_ms,
            None => false,
        };
        writes.extend(of_this_row.then_some((key, None)));
    }
    Ok(())
}

fn count(store: &Store) -> Result<u64, GroupError> {
    let (mut count, mut last) = (0, None);
    loop {
        let rows = store.scan(&keys::idempotencies(last.as_deref()), COUNTED_ROWS_MAX)?;
        count += rows.len() as u64;
        match rows.last() {
            Some((key, _)) => last = Some(key.to_vec()),
            None => return Ok(count),
        }
    }
}
