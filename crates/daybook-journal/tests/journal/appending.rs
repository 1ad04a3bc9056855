//! What is appended is there: at once, after an end in order, after one that was not, and over many segments.

use std::fs;

use daybook_journal::{
    AppendError, BLOCK_BYTES, Beginning, Event, Group, PartitionState, RECORD_BYTES_MAX, Tail, find, print,
};

use crate::support::{
    NOW_MS, append, assert_has, begin, begin_as, copy, directory, group, identity, segments, settings,
};

#[test]
fn what_was_appended_is_there_at_once_and_after_an_end_in_order() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 40, 3000);
    assert_has(&journal, 40);
    journal.close(NOW_MS).unwrap();
    let journal = begin(directory.path()).unwrap();
    assert_has(&journal, 40);
}

#[test]
fn a_process_that_was_killed_goes_on_in_a_fresh_segment_with_a_copy_of_its_last_record() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 5, 100);
    let killed = copy(directory.path());
    let mut journal = begin(killed.path()).unwrap();
    assert_has(&journal, 5);
    let both = segments(killed.path());
    assert_eq!(both.len(), 2);
    // The old segment is closed, and the fresh one begins with the last record.
    let found = find(killed.path()).unwrap();
    assert_eq!(found.last_number(), 5);
    append(&mut journal, 5, 9, 100);
    assert_has(&journal, 9);
    drop(journal);
    fs::remove_file(&both[1]).unwrap();
    // Only who ends in order ends with a closed segment.
    assert!(find(killed.path()).unwrap().lost_newest().is_some());
    let before = begin(killed.path()).unwrap();
    assert_has(&before, 5);
}

#[test]
fn killed_again_and_again_before_it_appends_it_loses_nothing() {
    let mut here = directory();
    let mut journal = begin(here.path()).unwrap();
    append(&mut journal, 0, 3, 10);
    for start in 0..6 {
        let killed = copy(here.path());
        let mut journal = begin(killed.path()).unwrap();
        assert_has(&journal, 3 + start);
        append(&mut journal, 3 + start, 4 + start, 10);
        here = killed;
    }
}

#[test]
fn a_start_reads_footers_and_knows_where_every_partition_stands() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 41, 3000);
    journal.reader().sent(0, 17, None);
    journal.index_synced(12);
    journal.close(NOW_MS).unwrap();
    let found = find(directory.path()).unwrap();
    assert!(segments(directory.path()).len() > 2);
    assert_eq!(found.partitions().iter().map(|state| state.next).collect::<Vec<_>>(), [21, 20]);
    assert_eq!(found.partitions()[0].acknowledged, 17);
    assert_eq!((found.last_number(), found.index_synced()), (42, 12));
    assert_eq!((found.tail(), found.identity()), (&Tail::Whole, Some(&identity())));
}

#[test]
fn records_begin_at_blocks_and_none_lies_in_two_segments() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 20, 7000);
    drop(journal);
    let mut text = Vec::new();
    print(directory.path(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("record ")).count(), 20, "{text}");
    for segment in segments(directory.path()) {
        assert_eq!(fs::metadata(segment).unwrap().len() % BLOCK_BYTES as u64, 0);
    }
}

#[test]
fn what_does_not_follow_or_fit_is_refused_and_nothing_is_written() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 2, 10);
    for wrong in [group(1, 10), group(4, 10)] {
        assert!(matches!(journal.append(wrong, NOW_MS), Err(AppendError::Position { .. })));
    }
    let stranger = Event { partition: 7, ..group(2, 10).events.remove(0) };
    let stranger = Group { events: vec![stranger], ..Group::default() };
    assert!(matches!(journal.append(stranger, NOW_MS), Err(AppendError::Position { partition: 7, .. })));
    let large = group(2, RECORD_BYTES_MAX);
    assert!(matches!(journal.append(large, NOW_MS), Err(AppendError::TooLarge { .. })));
    append(&mut journal, 2, 4, 10);
    assert_has(&journal, 4);
}

#[test]
fn the_journal_of_another_topic_is_refused() {
    let directory = directory();
    begin(directory.path()).unwrap().close(NOW_MS).unwrap();
    let other = daybook_journal::Identity { topic: "other".to_owned(), ..identity() };
    let found = find(directory.path()).unwrap();
    let refused = begin_as(found, &other, &settings()).unwrap_err();
    assert!(refused.to_string().contains("\"other\""), "{refused}");
}

#[test]
fn a_journal_of_a_later_layout_is_refused_and_one_of_an_earlier_is_gone_on_with() {
    let directory = directory();
    let mut journal = begin(directory.path()).unwrap();
    append(&mut journal, 0, 2, 10);
    journal.close(NOW_MS).unwrap();
    let begin_in = |layout| {
        let of = daybook_journal::Identity { layout, ..identity() };
        begin_as(find(directory.path()).unwrap(), &of, &settings())
    };
    let later = identity().layout + 1;
    let journal = begin_in(later).unwrap();
    assert_has(&journal, 2);
    journal.close(NOW_MS).unwrap();
    let refused = begin_in(later - 1).unwrap_err().to_string();
    assert!(refused.contains(&format!("layout: {later}")), "{refused}");
    assert!(refused.contains("use the version that wrote it"), "{refused}");
    assert_has(&begin_in(later).unwrap(), 2);
}

#[test]
fn a_journal_may_begin_behind_what_a_log_has_and_is_read_without_being_written() {
    let directory = directory();
    let initial = [PartitionState { next: 2, ..PartitionState::default() }, PartitionState::default()];
    let (identity, new_id) = (identity(), uuid::Uuid::from_u128(5));
    let beginning = Beginning { identity: &identity, new_id, initial: &initial, in_log: &[], now_ms: 0 };
    let mut journal = find(directory.path()).unwrap().begin(&beginning, &settings()).unwrap();
    assert!(journal.append(group(0, 10), NOW_MS).is_err());
    journal.append(group(4, 10), NOW_MS).unwrap();
    let files = || segments(directory.path()).into_iter().map(|path| fs::read(path).unwrap());
    let before: Vec<_> = files().collect();
    let reader = find(directory.path()).unwrap().into_reader();
    assert_eq!((reader.kept_from(0), reader.kept_from(1)), (Some(2), None));
    assert!(reader.events(0, 2).unwrap().is_some());
    assert!(before.into_iter().eq(files()));
}

#[test]
fn a_foreign_file_is_named_and_not_touched() {
    let directory = directory();
    fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let refused = find(directory.path()).unwrap_err();
    assert!(refused.to_string().contains("notes.txt"), "{refused}");
}

#[test]
fn a_segment_that_is_removed_replaced_or_cut_under_its_writer_is_noticed_before_anything_is_acknowledged() {
    type Harm = fn(&std::path::Path);
    let harms: [Harm; 4] = [
        |live| fs::remove_file(live).unwrap(),
        |live| fs::rename(live, live.with_extension("bak")).unwrap(),
        |live| {
            fs::copy(live, live.with_extension("copy")).unwrap();
            fs::rename(live.with_extension("copy"), live).unwrap();
        },
        |live| {
            fs::File::options().write(true).open(live).unwrap().set_len(2 * BLOCK_BYTES as u64).unwrap();
        },
    ];
    for harm in harms {
        let directory = directory();
        let mut journal = begin(directory.path()).unwrap();
        append(&mut journal, 0, 3, 10);
        harm(&segments(directory.path())[0]);
        let refused = journal.append(group(3, 10), NOW_MS).unwrap_err();
        assert!(matches!(refused, AppendError::Failed { .. }), "{refused}");
        assert!(refused.to_string().contains("another process has"), "{refused}");
        assert!(journal.append(group(3, 10), NOW_MS).is_err());
    }
}
