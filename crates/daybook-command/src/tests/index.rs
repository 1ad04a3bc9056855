//! The store is brought to where the journal is.

use daybook_journal::{Group, PartitionState, Write};
use daybook_store::Writes;
use tempfile::TempDir;
use uuid::Uuid;

use crate::run::StartProgress;
use crate::store::index::{self, CommitError, Reach, redo};
use crate::store::{self, Begun, Kept, Opening};

const ID: Uuid = Uuid::from_u128(1);

pub(super) fn opening<'a>(cluster: &str, progress: &'a StartProgress) -> Opening<'a> {
    Opening {
        topic: "toys.events".to_owned(),
        cluster: cluster.to_owned(),
        adopt_cluster: false,
        partitions: 1,
        cache_bytes_max: 1 << 20,
        new_id: ID,
        now_ms: 0,
        progress,
    }
}

pub(super) fn opened(dir: &TempDir) -> Kept {
    let starting = StartProgress::default();
    let opening = opening("", &starting);
    let begun = match store::find_store(dir.path(), &opening, true).unwrap() {
        Some(found) => found.begin(&opening, None).unwrap(),
        None => Begun::make(dir.path(), &opening).unwrap(),
    };
    Kept::new(begun.index.unwrap(), begun.journal, begun.dir)
}

fn group(writes: Writes) -> Group {
    let writes = writes.into_iter().map(|(key, value)| Write { key, value }).collect();
    Group { writes, ..Group::default() }
}

fn put(value: u8) -> Writes {
    vec![(b"Akey".to_vec(), Some(vec![value]))]
}

#[test]
fn records_are_done_again_in_order_from_where_both_say_that_all_is_there() {
    let dir = TempDir::new().unwrap();
    let Kept { store, mut journal, .. } = opened(&dir);
    for value in 1..=4 {
        let number = journal.append(group(put(value)), 0).unwrap();
        assert_eq!(number, u64::from(value));
    }
    index::apply(&store, 2, ID, put(2)).unwrap();
    let reader = journal.reader();
    let reach = |synced| Reach { last: 4, synced };
    // What the store says that it has, a power cut may have taken.
    for (synced, done) in [(0, 4), (1, 3), (4, 2)] {
        index::apply(&store, 2, ID, put(2)).unwrap();
        assert_eq!(redo(&store, &reader, reach(synced)).unwrap(), done, "synced up to {synced}");
        assert_eq!(&*store.get(b"Akey").unwrap().unwrap(), [4]);
        assert_eq!(index::number(&store).unwrap(), 4);
    }
    assert_eq!(redo(&store, &reader, reach(4)).unwrap(), 0);
}

#[test]
fn a_journal_that_lacks_what_the_store_needs_is_named() {
    let dir = TempDir::new().unwrap();
    let Kept { store, mut journal, .. } = opened(&dir);
    journal.append(group(put(1)), 0).unwrap();
    let short = redo(&store, &journal.reader(), Reach { last: 2, synced: 0 });
    assert!(matches!(short, Err(CommitError::Older { found: 1, first: 3 })), "{short:?}");
}

#[test]
fn a_stopped_service_has_nothing_to_do_again() {
    let dir = TempDir::new().unwrap();
    let Kept { store, mut journal, syncing } = opened(&dir);
    let number = journal.append(group(put(1)), 0).unwrap();
    index::apply(&store, number, ID, put(1)).unwrap();
    syncing.applied(number);
    syncing.sync().unwrap();
    assert_eq!(syncing.synced(), number);
    journal.index_synced(syncing.synced());
    journal.close(0).unwrap();
    store.close().unwrap();
    let found = daybook_journal::find(&dir.path().join("journal")).unwrap();
    assert_eq!((found.last_number(), found.index_synced()), (2, 1));
    let Kept { store, .. } = opened(&dir);
    assert_eq!(&*store.get(b"Akey").unwrap().unwrap(), [1]);
}

#[test]
fn nothing_older_is_put_over_a_store_that_has_more_than_the_journal() {
    let dir = TempDir::new().unwrap();
    let Kept { store, mut journal, .. } = opened(&dir);
    for value in 1..=2 {
        journal.append(group(put(value)), 0).unwrap();
    }
    index::apply(&store, 3, ID, put(3)).unwrap();
    assert_eq!(redo(&store, &journal.reader(), Reach { last: 2, synced: 0 }).unwrap(), 0);
    assert_eq!(&*store.get(b"Akey").unwrap().unwrap(), [3]);
}

#[test]
fn a_damaged_record_that_the_store_has_costs_nothing_and_one_that_it_lacks_changes_nothing() {
    for (has, done) in [(2, Some(2)), (1, None)] {
        let dir = TempDir::new().unwrap();
        let Kept { store, mut journal, .. } = opened(&dir);
        for value in 1..=4 {
            journal.append(group(put(value)), 0).unwrap();
        }
        index::apply(&store, has, ID, put(9)).unwrap();
        // Blocks: header, records 1 to 4.
        let segment = dir.path().join("journal/00000000000000000001.journal");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[2 * daybook_journal::BLOCK_BYTES + 90] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let redone = redo(&store, &journal.reader(), Reach { last: 4, synced: 0 });
        assert_eq!(redone.as_ref().ok().copied(), done, "{redone:?}");
        let value = if done.is_some() { 4 } else { 9 };
        assert_eq!(&*store.get(b"Akey").unwrap().unwrap(), [value]);
    }
}

#[test]
fn a_store_is_of_one_cluster_unless_another_one_is_adopted() {
    let (dir, starting) = (TempDir::new().unwrap(), StartProgress::default());
    let begin = |cluster, adopt_cluster| {
        let opening = Opening { adopt_cluster, ..opening(cluster, &starting) };
        let begun = match store::find_store(dir.path(), &opening, true)? {
            Some(found) => found.begin(&opening, None)?,
            None => Begun::make(dir.path(), &opening)?,
        };
        begun.journal.close(0).unwrap();
        Ok::<(), store::KeptError>(())
    };
    begin("one", false).unwrap();
    begin("one", false).unwrap();
    let refused = begin("two", false).unwrap_err().to_string();
    assert!(refused.contains("cluster one") && refused.contains("--adopt-cluster"), "{refused}");
    begin("two", true).unwrap();
    begin("two", false).unwrap();
    begin("one", false).unwrap_err();
    // Nor is it recovered into another one.
    store::refuse_other_clusters_store(dir.path(), &opening("one", &starting)).unwrap_err();
    store::refuse_other_clusters_store(dir.path(), &opening("two", &starting)).unwrap();
}

/// Such as one that `--recover` made: it begins behind the log, and no record of it says what lies before.
#[test]
fn an_index_that_counts_less_than_its_journal_is_not_gone_on_with() {
    let (dir, starting) = (TempDir::new().unwrap(), StartProgress::default());
    let opening = opening("", &starting);
    let behind = PartitionState { next: 3, last_id: Some(Uuid::from_u128(3)), ..PartitionState::default() };
    store::make_journal(dir.path(), &opening, &[behind]).unwrap().close(0).unwrap();
    std::fs::create_dir(dir.path().join("index")).unwrap();
    let found = store::find_store(dir.path(), &opening, true).unwrap().unwrap();
    let begun = found.begin(&opening, None).unwrap();
    assert_eq!(begun.index.err().as_deref(), Some("it lacks events that the journal counts"));
}
