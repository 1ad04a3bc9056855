//! The directory of generations: publish, retire, foreign files, one replay at a time.

use std::fs;
use std::path::Path;

use daybook_projection::{Generation, ReadModel, ReadModelError};

use crate::domain;
use crate::log::{HOLDER, fresh, zero};

fn with_generations(directory: &Path, count: usize) -> ReadModel {
    let read_model = ReadModel::open(directory).unwrap();
    for _ in 0..count {
        let name = read_model.next_name().unwrap();
        drop(fresh(&read_model.path_of(&name)));
        read_model.publish(&name).unwrap();
    }
    read_model
}

#[test]
fn the_published_generation_is_current() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = ReadModel::open(&directory.path().join("new")).unwrap();
    assert_eq!(read_model.current().unwrap(), None);
    assert_eq!(read_model.next_name().unwrap(), "gen-000001");
    let read_model = with_generations(directory.path().join("new").as_path(), 2);
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000002"));
    read_model.publish("gen-000001").unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"));
    assert_eq!(read_model.next_name().unwrap(), "gen-000003");
    assert!(ReadModel::open(read_model.directory()).is_ok());
}

#[test]
fn a_current_that_is_not_there_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    for wrong in ["gen-000009\n", "../elsewhere", ""] {
        fs::write(directory.path().join("CURRENT"), wrong).unwrap();
        let error = read_model.current().unwrap_err();
        assert!(matches!(error, ReadModelError::Current { .. }), "{error}");
    }
}

#[test]
fn foreign_files_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    with_generations(directory.path(), 1);
    let foreign = directory.path().join("holiday.jpg");
    fs::write(&foreign, "").unwrap();
    let sentence = ReadModel::open(directory.path()).unwrap_err().to_string();
    assert!(sentence.contains("holiday.jpg"), "{sentence}");
    assert!(foreign.exists());
}

#[test]
fn the_one_before_is_kept_and_one_in_use_too() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 5);
    let in_use = Generation::open(&read_model.path_of("gen-000002"), &domain::layout(), "query-api").unwrap();
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000001", "gen-000003"]);
    assert_eq!(read_model.names().unwrap(), ["gen-000002", "gen-000004", "gen-000005"]);
    drop(in_use);
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000002"]);
    assert!(read_model.retire(1).unwrap().is_empty());
}

#[test]
fn what_was_never_finished_is_removed_unless_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    let path = read_model.path_of("gen-000002");
    let building = Generation::create(&path, &domain::layout(), &zero(), HOLDER).unwrap();
    assert!(read_model.discard().unwrap().is_empty());
    drop(building);
    assert_eq!(read_model.discard().unwrap(), ["gen-000002"]);
    assert_eq!(read_model.names().unwrap(), ["gen-000001"]);
}

#[test]
fn one_that_cannot_be_removed_keeps_none_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    for name in ["gen-000002", "gen-000003", "gen-000004"] {
        drop(Generation::create(&read_model.path_of(name), &domain::layout(), &zero(), HOLDER).unwrap());
    }
    let lock = read_model.path_of("gen-000003").join("LOCK");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let said = read_model.discard().unwrap_err().to_string();
    assert!(said.contains(&lock.display().to_string()), "{said}");
    assert_eq!(read_model.names().unwrap(), ["gen-000001", "gen-000003"]);
    fs::remove_dir(&lock).unwrap();
    assert_eq!(read_model.discard().unwrap(), ["gen-000003"]);
}

#[test]
fn a_removal_that_was_cut_short_is_finished_later() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    let half = directory.path().join("removed-gen-000000");
    fs::create_dir(&half).unwrap();
    let read_model = ReadModel::open(read_model.directory()).unwrap();
    read_model.retire(1).unwrap();
    assert!(!half.exists());
}

#[test]
fn one_replay_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    let _first = read_model.lock_for_replay("the first").unwrap();
    let sentence = read_model.lock_for_replay("the second").unwrap_err().to_string();
    assert!(sentence.contains("the first is rebuilding"), "{sentence}");
}

/// Somebody who looks has the lock's file open, too.
#[test]
fn who_only_looks_is_no_replay() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    drop(read_model.lock_for_replay("a replay").unwrap());
    let looking = fs::File::open(directory.path().join("REPLAY")).unwrap();
    looking.try_lock_shared().unwrap();
    assert_eq!(read_model.rebuild_at_work(), None);
    assert!(matches!(read_model.set_rate(None), Err(ReadModelError::NoReplay { .. })));
    drop(looking);
    let _lock = read_model.lock_for_replay("a replay").unwrap();
    assert_eq!(read_model.rebuild_at_work().unwrap().holder, "a replay");
}

#[test]
fn a_rollback_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 2);
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000002"));
    let read_model = with_generations(directory.path(), 1);
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000002"], "what was rolled back from goes");
    assert_eq!(read_model.names().unwrap(), ["gen-000001", "gen-000003"]);
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000003"));
    assert!(matches!(read_model.roll_back(), Err(ReadModelError::NothingOlder { .. })));
}

#[test]
fn a_rollback_never_goes_to_what_was_not_published() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 1);
    drop(fresh(&read_model.path_of("gen-000002")));
    let read_model = with_generations(directory.path(), 1);
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000003"));
}

/// Nothing of it says what was published after what.
#[test]
fn a_directory_of_an_older_program_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 3);
    for name in read_model.names().unwrap() {
        fs::remove_file(read_model.path_of(&name).join("BEFORE")).unwrap();
    }
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000001"]);
    let read_model = with_generations(directory.path(), 1);
    assert_eq!(read_model.retire(2).unwrap(), Vec::<String>::new());
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000003", "gen-000004"));
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000002", "gen-000003"));
}

#[test]
fn two_who_publish_at_once_both_do() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..100 {
                    read_model.publish("gen-000002").unwrap();
                    // Nothing is older while the other one has just rolled back.
                    let rolled_back = read_model.roll_back();
                    assert!(
                        matches!(rolled_back, Ok(_) | Err(ReadModelError::NothingOlder { .. })),
                        "{rolled_back:?}"
                    );
                }
            });
        }
    });
}

#[test]
fn a_rollback_from_what_is_gone_goes_to_what_was_published() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 2);
    drop(fresh(&read_model.path_of("gen-000003")));
    fs::remove_dir_all(read_model.path_of("gen-000002")).unwrap();
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000002"));
}

#[test]
fn a_name_that_was_published_is_not_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 3);
    for name in read_model.names().unwrap() {
        fs::remove_dir_all(read_model.path_of(&name)).unwrap();
    }
    assert_eq!(read_model.next_name().unwrap(), "gen-000004");
    assert!(read_model.discard().unwrap().is_empty());
    assert!(matches!(read_model.roll_back(), Err(ReadModelError::NothingOlder { .. })));
}

fn pair(now: &str, before: &str) -> (String, String) {
    (now.to_owned(), before.to_owned())
}

#[test]
fn a_generation_that_is_gone_does_not_take_those_before_it_along() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 4);
    fs::remove_dir_all(read_model.path_of("gen-000003")).unwrap();
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000001"]);
    assert_eq!(read_model.roll_back().unwrap().0, "gen-000002");
}

const WHY: &str = "one of the two is damaged";

#[test]
fn what_was_withdrawn_is_neither_kept_nor_rolled_back_to() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 2);
    read_model.withdraw("gen-000002", "gen-000001", WHY).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"));
    // Another one has been published meanwhile.
    with_generations(directory.path(), 1);
    read_model.withdraw("gen-000002", "gen-000001", WHY).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000003"));
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000002"]);
    assert!(read_model.withdrawn().unwrap().is_empty(), "and its note went with it");
    assert_eq!(read_model.roll_back().unwrap().0, "gen-000001");
}

#[test]
fn what_was_withdrawn_takes_the_place_of_nothing_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 3);
    read_model.withdraw("gen-000003", "gen-000002", "it will\nnever get there").unwrap();
    let reported = read_model.withdrawn().unwrap();
    assert_eq!(reported.len(), 1);
    assert_eq!(
        (reported[0].generation.as_str(), reported[0].why.as_str()),
        ("gen-000003", "it will never get there")
    );
    fs::remove_dir_all(read_model.path_of("gen-000002")).unwrap();
    assert!(read_model.current().unwrap_err().is_gone());
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000002"));
    fs::remove_dir_all(read_model.path_of("gen-000001")).unwrap();
    assert!(matches!(read_model.roll_back(), Err(ReadModelError::NothingOlder { .. })));
    assert!(read_model.unfinished().unwrap().is_empty());
}

/// It was found out after yet another one had been published on top of it.
#[test]
fn what_is_withdrawn_late_is_passed_over_by_a_rollback() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 3);
    read_model.withdraw("gen-000002", "gen-000001", WHY).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000003"));
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000003"));
}

/// Whoever withdrew it was killed before `CURRENT` named another one.
#[test]
fn what_is_named_and_was_withdrawn_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 3);
    read_model.withdraw("gen-000003", "gen-000002", WHY).unwrap();
    let killed = || fs::write(directory.path().join("CURRENT"), "gen-000003\n").unwrap();
    killed();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000002"));
    assert!(!read_model.current_is_foreign(&domain::layout()).unwrap());
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000001", "gen-000002"));
    killed();
    fs::remove_dir_all(read_model.path_of("gen-000002")).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"), "the one before it");
    fs::remove_dir_all(read_model.path_of("gen-000001")).unwrap();
    let none = read_model.current().unwrap_err();
    assert!(none.is_gone() && none.to_string().contains(WHY), "{none}");
    let read_model = with_generations(directory.path(), 1);
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000004"));
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000003"]);
}

/// What it says is lost; that it is there is enough.
#[test]
fn a_note_of_a_withdrawal_that_says_nothing_withdraws() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 2);
    fs::write(read_model.path_of("gen-000002").join("WITHDRAWN"), [0xff, 0]).unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000001"));
    assert!(read_model.withdrawn().unwrap()[0].why.contains("damaged"));
}

/// What cannot be read there keeps no other generation from being served.
#[test]
fn a_note_of_a_withdrawal_that_cannot_be_read_withdraws_its_generation_alone() {
    for unreadable in ["gen-000001", "gen-000002"] {
        let directory = tempfile::tempdir().unwrap();
        let read_model = with_generations(directory.path(), 2);
        fs::create_dir(read_model.path_of(unreadable).join("WITHDRAWN")).unwrap();
        let other = if unreadable == "gen-000001" { "gen-000002" } else { "gen-000001" };
        assert_eq!(read_model.current().unwrap().as_deref(), Some(other));
        assert_eq!(read_model.withdrawn().unwrap()[0].generation, unreadable);
    }
}

/// As of a directory of an older program, the numbers say what was before.
#[test]
fn what_a_generation_notes_and_cannot_be_read_counts_as_not_noted() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 4);
    let note = directory.path().join("gen-000004/BEFORE");
    fs::remove_file(&note).unwrap();
    fs::create_dir(&note).unwrap();
    assert_eq!(read_model.retire(1).unwrap(), ["gen-000001", "gen-000002"]);
    assert_eq!(read_model.roll_back().unwrap(), pair("gen-000003", "gen-000004"));
    read_model.publish("gen-000003").unwrap();
    let read_model = with_generations(directory.path(), 1);
    fs::write(directory.path().join("CURRENT"), "gen-000004\n").unwrap();
    fs::write(directory.path().join("gen-000004/WITHDRAWN"), "").unwrap();
    assert_eq!(read_model.current().unwrap().as_deref(), Some("gen-000003"));
}

#[test]
fn a_directory_in_place_of_a_file_of_the_read_model_is_named_with_what_helps() {
    let directory = tempfile::tempdir().unwrap();
    let read_model = with_generations(directory.path(), 2);
    let in_place_of = |name: &str| {
        let path = directory.path().join(name);
        if path.exists() {
            fs::remove_file(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        path.display().to_string()
    };
    let is_said = |error: ReadModelError, path: &str, helps: &str| {
        let said = error.to_string();
        assert!(said.contains(path) && said.contains(helps) && !said.contains("may be written"), "{said}");
    };
    let path = in_place_of("SKIPPED");
    is_said(read_model.skipped().unwrap_err(), &path, "restore it from a copy");
    let path = in_place_of("CURRENT.tmp");
    is_said(read_model.publish("gen-000002").unwrap_err(), &path, "move it away");
    let path = in_place_of("CURRENT");
    is_said(read_model.current().unwrap_err(), &path, "move it away");
}
