//! The database of a store while it is open: with the digest of its rows, and whether a write of it has failed.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::database::{Bytes, Database, Purpose, Writes};
use crate::digest::{self, Sum, add_up, change};
use crate::digest::{BYTES, Digest};
use crate::error::{Cause, DatabaseError, Doing, StoreError};
use crate::store::{Noted, Unreadable, check_size};

pub(crate) struct Opened {
    pub(crate) database: Database,
    /// The digest of all rows, if one is kept. Held while one is written.
    digest: Option<Mutex<Digest>>,
    /// A write or a sync has failed: nothing more is written.
    failed: AtomicBool,
    /// It failed because the disk did: what was written before may not be on it, and no sync says so again.
    distrusted: AtomicBool,
}

impl Opened {
    /// Opens the database in `dir`, or makes one; its rows add up to their digest. `report` is given how many were added up so far.
    pub(crate) fn open(
        dir: &Path,
        cache_bytes: u64,
        checks: (Noted, Unreadable),
        report: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, StoreError> {
        let mut opened = Self::open_as_it_is(dir, cache_bytes)?;
        match opened.checked_digest(checks, report) {
            Ok(digest) => opened.digest = Some(Mutex::new(digest)),
            Err(error) => {
                opened.database.close();
                return Err(error);
            }
        }
        Ok(opened)
    }

    /// Opens the database in `dir` whatever its rows add up to, and keeps no digest of them.
    pub(crate) fn open_as_it_is(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let database = Database::open(dir, Purpose::Index, cache_bytes)?;
        let (failed, distrusted) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { database, digest: None, failed, distrusted })
    }

    /// The digest of all rows, if that is what the last write left.
    fn checked_digest(
        &self,
        (must_be, unreadable): (Noted, Unreadable),
        report: &(dyn Fn(u64) + Sync),
    ) -> Result<Digest, StoreError> {
        let began = Instant::now();
        let sum = add_up(|first| self.beginning_with(first), report);
        let noted = self.database.get(digest::KEY).map_err(of_opening)?;
        let noted = noted.filter(|_| must_be != Noted::Ignored);
        let noted = noted.map(|noted| <[u8; BYTES]>::try_from(&*noted).map_err(|_| StoreError::NotAsWritten));
        match (sum, noted.transpose()?.map(|noted| Digest::from_bytes(&noted))) {
            (Ok(sum), Some(noted)) if sum.digest != noted => Err(StoreError::NotAsWritten),
            (Ok(sum), None) if must_be == Noted::MustBe && sum.rows > 0 => Err(StoreError::NoDigest),
            (Ok(Sum { digest, rows }), _) => {
                tracing::debug!(rows, took = ?began.elapsed(), "the rows of the store add up");
                Ok(digest)
            }
            (Err(error), Some(noted)) if error.cause != Cause::Other && unreadable == Unreadable::IsLeft => {
                tracing::error!(
                    %error,
                    "a page of the store cannot be read: commands that need it are refused, and other rows may be lost; the \
                     store is built again once a start meets it while the whole log can be read"
                );
                Ok(noted)
            }
            (Err(error), _) => Err(of_opening(error)),
        }
    }

    fn beginning_with(&self, first: u8) -> impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>> {
        let end = first.checked_add(1).map_or(Bound::Unbounded, |next| Bound::Excluded(vec![next]));
        self.database.range((Bound::Included(vec![first]), end))
    }

    /// Applies all writes or none, with the digest of what is there then.
    pub(crate) fn apply(&self, writes: Writes) -> Result<(), StoreError> {
        let mut digest = self.digest();
        let Some(digest) = &mut digest else { return self.attempt(|database| database.apply(writes)) };
        let mut after = **digest;
        self.attempt(|database| {
            // Of several with one key the last counts.
            let writes: HashMap<_, _> = writes.into_iter().collect();
            for (key, value) in &writes {
                change(&mut after, key, database.get(key)?.as_deref(), value.as_deref());
            }
            let digest = (digest::KEY.to_vec(), Some(after.to_bytes().to_vec()));
            database.apply(writes.into_iter().chain([digest]).collect())
        })?;
        **digest = after;
        Ok(())
    }

    /// Writes entries one by one, and then the digest.
    pub(crate) fn fill<B: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (B, B)>,
    ) -> Result<(), StoreError> {
        let mut digest = self.digest();
        for (key, value) in entries {
            let (key, value) = (key.as_ref(), value.as_ref());
            check_size(key, value)?;
            let before = self.attempt(|database| database.insert(key, value))?;
            if let Some(digest) = &mut digest {
                change(digest, key, before.as_deref(), Some(value));
            }
        }
        let Some(digest) = digest else { return Ok(()) };
        self.attempt(|database| database.insert(digest::KEY, &digest.to_bytes())).map(drop)
    }

    fn digest(&self) -> Option<MutexGuard<'_, Digest>> {
        Some(self.digest.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.attempt(Database::sync)
    }

    /// Whether what it wrote may not be on the disk.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::SeqCst) || self.database.has_met_failed_disk()
    }

    fn attempt<T>(&self, work: impl FnOnce(&Database) -> Result<T, DatabaseError>) -> Result<T, StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Failed);
        }
        work(&self.database).map_err(|error| {
            let distrusted = error.doing == Doing::Sync || error.cause == Cause::Disk;
            self.distrusted.fetch_or(distrusted, Ordering::SeqCst);
            self.failed.store(true, Ordering::SeqCst);
            error.into()
        })
    }
}

/// The same, as met by an opening.
fn of_opening(error: DatabaseError) -> StoreError {
    DatabaseError { doing: Doing::Open, ..error }.into()
}
