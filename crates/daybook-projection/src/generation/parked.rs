//! Events that wait, in a generation: written with the checkpoint that counts them.

use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;

use daybook_store::{BATCH_BYTES_MAX, Batch, Bytes, Database, DatabaseError, VALUE_BYTES_MAX};

use super::{Commit, Generation, Moment};
use crate::checkpoint::SourceId;
use crate::codec::{RowError, RowReader, put_varint};
use crate::keys::{self, ParkedKeyPart};
use crate::quarantine::{PARKED_KEY_BYTES_MAX, ParkedRecord, Quarantine, sum};
use crate::store::{GenerationError, StoreError};

/// All that waits, as it is stored. Removes what a process that was killed has left of records that do not wait.
pub(super) fn read(path: &Path, rows: &Database) -> Result<Quarantine, GenerationError> {
    let mut quarantine = Quarantine::default();
    let mut joining = Joining::of(path, rows.range(keys::PARKED.to_vec()..keys::SOURCES.to_vec()));
    quarantine.add(&std::iter::from_fn(|| joining.next().transpose()).collect::<Result<Vec<_>, _>>()?);
    // They take room and nothing else: a disk that is full does not keep a generation from being opened.
    if let Err(error) = remove(rows, joining.strays) {
        tracing::warn!("what is left of records that no longer wait stays until the next opening: {error}");
    }
    Ok(quarantine)
}

fn remove(rows: &Database, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    for key in keys {
        batch.remove(&key);
        if batch.bytes() >= BATCH_BYTES_MAX {
            rows.apply_and_sync_if_due(std::mem::take(&mut batch))?;
        }
    }
    match batch.bytes() {
        0 => Ok(()),
        _ => Ok(rows.apply_and_sync_if_due(batch)?),
    }
}

impl Generation {
    pub(crate) fn parked_of(&self, source: &SourceId, key: &str) -> Result<Vec<ParkedRecord>, StoreError> {
        let from = keys::parked_prefix(source, key);
        // The prefix ends with a byte 0, behind which the positions stand.
        let to = [&from[..from.len() - 1], &[1]].concat();
        let mut joining = Joining::of(&self.path, self.rows.range(from..to));
        std::iter::from_fn(|| joining.next().transpose()).collect()
    }

    /// Writes records that wait into a generation that is being built and that nobody reads.
    pub(crate) fn put_parked(&self, records: &[ParkedRecord]) -> Result<(), StoreError> {
        for record in records {
            let stored = cut(&self.path, record)?;
            for (key, value) in stored.pieces.iter().chain([&stored.head]) {
                self.rows.insert(key, value)?;
            }
        }
        self.show_quarantine(|quarantine| quarantine.add(records))
    }

    /// Removes the pieces of records that no longer wait, or wait for another reason. The batch that said so has been
    /// written; a process that is killed before this leaves them to the next opening.
    pub(crate) fn remove_pieces(
        &self,
        records: impl IntoIterator<Item = ParkedRecord>,
    ) -> Result<(), StoreError> {
        for record in records {
            let from = keys::parked(&record.source, &record.key, record.position, record.view());
            let to = keys::parked_end(&from);
            let mut joining = Joining::of(&self.path, self.rows.range(from..to));
            while joining.next()?.is_some() {}
            remove(&self.rows, joining.strays)?;
        }
        Ok(())
    }

    pub(super) fn show_quarantine(&self, change: impl FnOnce(&mut Quarantine)) -> Result<(), StoreError> {
        let mut moment = Moment::clone(&self.last_moment());
        change(Arc::make_mut(&mut moment.quarantine));
        self.moments.change(|| Ok(moment)).map(drop)
    }
}

impl Commit<'_> {
    /// Writes records that wait from now on. Their pieces are written at once, in small batches of their own.
    pub(crate) fn park(&mut self, records: Vec<ParkedRecord>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for record in &records {
            let stored = cut(&self.generation.path, record)?;
            for (key, value) in &stored.pieces {
                batch.put(key, value);
                if batch.bytes() >= BATCH_BYTES_MAX {
                    self.generation.rows.apply_and_sync_if_due(std::mem::take(&mut batch))?;
                }
            }
            self.batch.put(&stored.head.0, &stored.head.1);
        }
        if !records.is_empty() {
            Arc::make_mut(&mut self.quarantine).add(&records);
        }
        if batch.bytes() > 0 {
            self.generation.rows.apply_and_sync_if_due(batch)?;
        }
        Ok(())
    }

    /// Takes out records that no longer wait; [`Generation::remove_pieces`] removes the rest of them.
    pub(crate) fn unpark(&mut self, records: &[ParkedRecord]) {
        for record in records {
            self.batch.remove(&keys::parked(&record.source, &record.key, record.position, record.view()));
        }
        Arc::make_mut(&mut self.quarantine).remove(records);
    }

    /// Writes a record that still waits, with the reason that it has now.
    pub(crate) fn park_again(&mut self, record: ParkedRecord) -> Result<(), StoreError> {
        Arc::make_mut(&mut self.quarantine).remove(std::slice::from_ref(&record));
        self.park(vec![record])
    }
}

/// Bytes of the record in one stored value.
const PIECE_BYTES_MAX: usize = 12 << 10;
/// Bytes of a topic's name, as Kafka allows them, and of what stands around topic and key in a stored key.
const REST_OF_KEY_BYTES_MAX: usize = 249 + 32;
const _: () = assert!(PIECE_BYTES_MAX + 1 + PARKED_KEY_BYTES_MAX + REST_OF_KEY_BYTES_MAX <= VALUE_BYTES_MAX);

/// What a head begins with.
const WHOLE: u8 = 0;
const CUT: u8 = 1;
const SUM_BYTES: usize = 16;

type Entry = (Vec<u8>, Vec<u8>);

struct Cut {
    head: Entry,
    pieces: Vec<Entry>,
}

/// Cuts a record into pieces, if it is too large to be stored whole.
fn cut(path: &Path, record: &ParkedRecord) -> Result<Cut, StoreError> {
    let key = keys::parked(&record.source, &record.key, record.position, record.view());
    let bytes = record.encode().map_err(|error| StoreError::new("write", path, error))?;
    if bytes.len() <= PIECE_BYTES_MAX {
        return Ok(Cut { head: (key, [&[WHOLE], &bytes[..]].concat()), pieces: Vec::new() });
    }
    let sum = sum::<SUM_BYTES>(&bytes);
    let piece = |(number, piece): (u16, &[u8])| (keys::parked_piece(&key, &sum, number), piece.to_vec());
    let pieces = (0..).zip(bytes.chunks(PIECE_BYTES_MAX)).map(piece).collect();
    let mut head = vec![CUT];
    head.extend_from_slice(&sum);
    put_varint(&mut head, bytes.len() as u64);
    Ok(Cut { head: (key, head), pieces })
}

/// Puts records together from entries in the order of their keys.
struct Joining<'p, I: Iterator> {
    path: &'p Path,
    entries: Peekable<I>,
    /// Keys of pieces that are nobody's.
    strays: Vec<Vec<u8>>,
}

impl<'p, I: Iterator<Item = Result<(Bytes, Bytes), DatabaseError>>> Joining<'p, I> {
    fn of(path: &'p Path, entries: I) -> Self {
        Self { path, entries: entries.peekable(), strays: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<ParkedRecord>, StoreError> {
        let damaged = |error| StoreError::damaged("read", self.path, error);
        while let Some((key, value)) = self.entries.next().transpose()? {
            match keys::parked_part(&key).map_err(damaged)? {
                ParkedKeyPart::Head => return self.join(&key, &value).map(Some),
                ParkedKeyPart::Piece { .. } => self.strays.push(key.to_vec()),
            }
        }
        Ok(None)
    }

    /// What there is of pieces beside those that a record needs is nobody's.
    fn join(&mut self, head: &[u8], value: &[u8]) -> Result<ParkedRecord, StoreError> {
        let path = self.path;
        let damaged = |error| StoreError::damaged("read", path, error);
        let (whole, length) = read_head(value).map_err(damaged)?;
        let mut bytes = Vec::new();
        // The next entry whose key begins with that of the head.
        let is_below = |entry: &I::Item| entry.as_ref().map_or(true, |(key, _)| key.starts_with(head));
        while let Some((key, piece)) = self.entries.next_if(is_below).transpose()? {
            let expected = bytes.len() / PIECE_BYTES_MAX;
            match keys::parked_part(&key).map_err(damaged)? {
                ParkedKeyPart::Piece { sum, number }
                    if whole.is_some_and(|whole| whole.starts_with(sum))
                        && usize::from(number) == expected =>
                {
                    bytes.extend_from_slice(&piece);
                }
                _ => self.strays.push(key.to_vec()),
            }
        }
        let record = match whole {
            None => ParkedRecord::decode(&value[1..]),
            Some(whole) if bytes.len() == length && sum::<SUM_BYTES>(&bytes)[..] == *whole => {
                ParkedRecord::decode(&bytes)
            }
            Some(_) => Err(RowError::CutOff { field: "pieces of a record that waits" }),
        };
        record.map_err(damaged)
    }
}

/// Sum and length of a record that was cut.
fn read_head(value: &[u8]) -> Result<(Option<&[u8]>, usize), RowError> {
    let mut reader = RowReader::new(value);
    match reader.byte("head")? {
        WHOLE => Ok((None, 0)),
        CUT => {
            let (sum, length) = (reader.take(SUM_BYTES, "sum")?, reader.number("length")?);
            reader.finish()?;
            Ok((Some(sum), length))
        }
        other => Err(RowError::impossible("head", other)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use daybook_store::{Batch, Database, Purpose};
    use uuid::Uuid;

    use super::*;
    use crate::checkpoint::SourceId;
    use crate::generation::parked::read;

    fn filled(dir: &Path) -> Database {
        Database::open(dir, Purpose::Filled, 1 << 20).unwrap()
    }

    fn record(position: u64, bytes: usize) -> ParkedRecord {
        let source = SourceId { topic: "users.events".into(), partition: 0 };
        let (key, id, offset) = ("a key".to_owned(), Uuid::from_u128(7), position as i64);
        let value = Some((0..bytes).map(|at| (at % 251) as u8).collect());
        let (headers, reason) = (Vec::new(), Some("broken".to_owned()));
        let (has_event_id, change) = (true, None);
        ParkedRecord { source, key, position, offset, id, has_event_id, change, value, headers, reason }
    }

    fn cut_up(record: &ParkedRecord) -> Cut {
        cut(Path::new("a test"), record).unwrap()
    }

    fn put(rows: &Database, entries: &[Entry]) {
        entries.iter().for_each(|(key, value)| drop(rows.insert(key, value).unwrap()));
    }

    fn all(rows: &Database) -> Joining<'_, impl Iterator<Item = Result<(Bytes, Bytes), DatabaseError>>> {
        Joining::of(Path::new("a test"), rows.range(keys::PARKED.to_vec()..keys::SOURCES.to_vec()))
    }

    #[test]
    fn records_of_any_size_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let rows = filled(directory.path());
        let sizes = (PIECE_BYTES_MAX - 70..PIECE_BYTES_MAX + 3).chain([0, 2 * PIECE_BYTES_MAX, 128 << 10]);
        let records: Vec<_> = (0..).zip(sizes).map(|(position, bytes)| record(position, bytes)).collect();
        for record in &records {
            let Cut { head, pieces } = cut_up(record);
            put(&rows, &pieces);
            put(&rows, &[head]);
        }
        let mut joining = all(&rows);
        for record in records {
            assert_eq!(joining.next().unwrap(), Some(record));
        }
        assert!(joining.next().unwrap().is_none() && joining.strays.is_empty());
    }

    #[test]
    fn pieces_without_their_head_go_at_the_next_opening() {
        let directory = tempfile::tempdir().unwrap();
        let rows = filled(directory.path());
        let (gone, first, again, last) =
            (record(1, 40_000), record(2, 30_000), record(2, 30_001), record(3, 10));
        put(&rows, &cut_up(&gone).pieces);
        for record in [&first, &again, &last] {
            put(&rows, &cut_up(record).pieces);
            put(&rows, &[cut_up(record).head]);
        }
        let quarantine = read(directory.path(), &rows).unwrap();
        let waiting: Vec<_> =
            quarantine.parked().map(|(_, position, event)| (position, event.bytes)).collect();
        assert_eq!(waiting, [(2, again.bytes() as u64), (3, last.bytes() as u64)]);
        let left = rows.range(keys::PARKED.to_vec()..keys::SOURCES.to_vec()).count();
        assert_eq!(left, 2 + cut_up(&again).pieces.len());
    }

    #[test]
    fn a_head_without_one_of_its_pieces_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let rows = filled(directory.path());
        let Cut { head, mut pieces } = cut_up(&record(1, 40_000));
        pieces.remove(1);
        put(&rows, &pieces);
        put(&rows, &[head]);
        assert!(read(directory.path(), &rows).unwrap_err().is_damage());
    }

    #[test]
    fn values_of_the_largest_size_make_no_file_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let rows = filled(directory.path());
        for key in 0..100_u16 {
            let mut batch = Batch::default();
            batch.put(&key.to_be_bytes(), &vec![7; VALUE_BYTES_MAX - 2]);
            rows.apply_batch(batch).unwrap();
        }
        rows.flush().unwrap();
        let blobs = |path: &Path| std::fs::read_dir(path.join("blobs")).map_or(0, Iterator::count);
        assert_eq!(blobs(directory.path()), 0);
    }
}
