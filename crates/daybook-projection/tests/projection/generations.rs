//! Generations on disk: one owner, finished or not, layout, damage.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::FileExt as _;

use daybook_projection::{Generation, GenerationError};
use daybook_store::testing::open_rows;
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::{self, launched};
use crate::log::{HOLDER, fresh, open, project, zero};
use crate::rebuilds::{options, rebuild};
use crate::transcript::transcript;

#[test]
fn rows_and_checkpoint_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let log = transcript(100, 3);
    let generation = fresh(&path);
    project(&generation, &log.records);
    let before = (generation.digest(), generation.checkpoint());
    assert!(generation.bytes_on_disk().unwrap() > 0);
    drop(generation);
    let again = open(&path);
    assert_eq!((again.digest(), again.checkpoint()), before);
}

/// A full disk, or a kill, in the middle of an opening.
#[test]
fn what_an_opening_that_was_cut_short_has_left_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let log = transcript(100, 3);
    let generation = fresh(&path);
    project(&generation, &log.records);
    let before = (generation.digest(), generation.checkpoint());
    drop(generation);
    drop(open(&path));
    let rows = path.join("rows");
    let files = fs::read_dir(&rows).unwrap().map(|entry| entry.unwrap().path());
    let mut notes = files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("snap."));
    let whole = fs::read(notes.next().unwrap()).unwrap();
    for bytes in [0, whole.len() / 2, whole.len()] {
        let left = rows.join("snap.00000000FFFFFFFF.generating");
        fs::write(&left, &whole[..bytes]).unwrap();
        let again = open(&path);
        assert_eq!((again.digest(), again.checkpoint()), before, "{bytes} bytes");
        assert!(!left.exists(), "{bytes} bytes");
    }
}

/// A bad sector before anybody has opened it: sled gives up what lies behind it without a word.
#[test]
fn a_generation_opens_as_it_was_finished_or_not_at_all() {
    let broker = Broker::start();
    let log = transcript(6_000, 53);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let (mut refused, mut opened) = (0, 0);
    for tenth in 1..10 {
        let copy = directory.path().join(format!("copy-{tenth}"));
        copy_unopened(&report.path, &copy);
        let rows = copy.join("rows/db");
        let mut bytes = fs::read(&rows).unwrap();
        let at = bytes.len() * tenth / 10;
        bytes[at] ^= 1;
        fs::write(&rows, bytes).unwrap();
        match Generation::open(&copy, &domain::layout(), HOLDER) {
            Ok(generation) => {
                opened += 1;
                assert_eq!(
                    (generation.checkpoint(), generation.digest()),
                    (report.checkpoint.clone(), report.digest)
                );
                assert!(
                    generation.recount_digest().is_ok_and(|digest| digest == report.digest)
                        || generation.recount_digest().is_err()
                );
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_damage(), "{error}");
            }
        }
    }
    assert!(refused > 0, "{opened} of 9 were opened");
}

/// sled keeps its settings in a file of its own, and finds them changed rather than damaged.
#[test]
fn whatever_becomes_of_the_settings_of_the_store_it_opens_as_it_was_or_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    broker.write(&transcript(100, 54).records);
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let settings = report.path.join("rows/conf");
    let whole = fs::read(&settings).unwrap();
    let flipped = (0..whole.len() * 8).step_by(3).map(|bit| {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let appended = [&whole[..], b"\xff\x00garbage"].concat();
    let (mut refused, mut opened) = (0, 0);
    for changed in flipped.chain([vec![0xff; whole.len()], appended]) {
        fs::write(&settings, &changed).unwrap();
        match Generation::open(&report.path, &domain::layout(), HOLDER) {
            Ok(generation) => {
                opened += 1;
                assert_eq!(generation.digest(), report.digest);
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_damage(), "{}: {error}", String::from_utf8_lossy(&changed));
            }
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

/// As by rights that were taken away: it is there, and nothing else is to be built in its place without a word.
#[test]
fn a_generation_that_may_not_be_looked_at_is_neither_missing_nor_unfinished() {
    let directory = tempfile::tempdir().unwrap();
    let rows = directory.path().join("rows");
    std::os::unix::fs::symlink("rows", &rows).unwrap();
    let error = Generation::open(directory.path(), &domain::layout(), HOLDER).err().unwrap();
    assert!(matches!(&error, GenerationError::Store(store) if !store.is_damage()), "{error}");
    assert!(!daybook_projection::generation::is_unfinished(directory.path()));
}

/// As a replay leaves it that does not open what it has built.
fn copy_unopened(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_unopened(&entry.path(), &to.join(name)),
            false if name.starts_with("snap.") => {}
            false => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}

#[test]
fn what_is_published_was_opened_before_and_an_unfinished_one_that_is_damaged_is_begun_anew() {
    let broker = Broker::start();
    let log = transcript(600, 54);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let path = rebuild(&broker, directory.path(), &options()).unwrap().path;
    let files = fs::read_dir(path.join("rows")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(files.into_iter().any(|name| name.to_str().unwrap().starts_with("snap.")), "sled has opened it");
    // As if the process had been killed between the note and the end.
    fs::write(path.join("BUILDING"), "").unwrap();
    assert!(Generation::resume(&path, &domain::layout(), HOLDER).is_ok());
    fs::remove_dir_all(path.join("rows")).unwrap();
    drop(open_rows(&path.join("rows")));
    let error = Generation::resume(&path, &domain::layout(), HOLDER).err().unwrap();
    assert!(error.is_damage(), "{error}");
    let rows = open_rows(&path.join("rows"));
    rows.insert(&[0, b'l'], domain::layout().to_string().as_bytes()).unwrap();
    drop(rows);
    let error = Generation::resume(&path, &domain::layout(), HOLDER).err().unwrap();
    assert!(error.is_damage(), "{error}");
}

/// The disk is not what was written to it, wherever: sled would open what is left as an older store.
#[test]
fn what_was_built_and_is_another_when_it_is_opened_again_is_not_finished() {
    let (layout, log) = (domain::layout(), transcript(2_000, 56));
    let (mut refused, mut proved) = (0, 0);
    for tenth in 1..10 {
        let directory = tempfile::tempdir().unwrap();
        let mut built = Generation::create(directory.path(), &layout, &zero(), HOLDER).unwrap();
        project(&built, &log.records);
        let (checkpoint, digest) = (built.checkpoint(), built.digest());
        built.settle((*checkpoint).clone(), digest).unwrap();
        let rows = directory.path().join("rows/db");
        let bytes = fs::read(&rows).unwrap();
        let at = bytes.len() * tenth / 10;
        let file = fs::File::options().write(true).open(&rows).unwrap();
        file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        match built.proved(&layout, None, false) {
            Ok(generation) => {
                proved += 1;
                assert_eq!((generation.checkpoint(), generation.digest()), (checkpoint, digest));
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_damage(), "{error}");
                assert!(directory.path().join("TORN").exists(), "it is begun anew");
            }
        }
    }
    assert!(refused > 0, "{proved} of 9 were taken for what was built");
}

/// Its own notes agree, and a page behind them is gone: only whoever reads all rows sees it.
#[test]
fn a_build_whose_rows_are_not_what_was_written_is_begun_anew_the_next_time() {
    let broker = Broker::start();
    let log = transcript(6_000, 55);
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let path = rebuild(&broker, directory.path(), &options()).unwrap().path;
    let generation = open(&path);
    fs::write(path.join("BUILDING"), "").unwrap();
    drop(generation);
    // A row more than the digest knows.
    let rows = open_rows(&path.join("rows"));
    rows.insert(&[[1].as_slice(), &[7; 16]].concat(), b"\x01a row").unwrap();
    drop(rows);
    let resumed = Generation::resume(&path, &domain::layout(), HOLDER).unwrap();
    let error = resumed.proved(&domain::layout(), None, true).err().unwrap();
    assert!(error.is_damage(), "{error}");
    let error = Generation::resume(&path, &domain::layout(), HOLDER).err().unwrap();
    assert!(error.is_damage() && error.to_string().contains("its rows are not whole"), "{error}");
}

#[test]
fn a_generation_in_use_is_refused_with_its_holder() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let _held = fresh(&path);
    let error = Generation::open(&path, &domain::layout(), "somebody else").err().unwrap();
    assert!(matches!(&error, GenerationError::InUse { holder, .. } if holder == HOLDER), "{error}");
}

#[test]
fn an_unfinished_generation_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    drop(Generation::create(&path, &domain::layout(), &zero(), HOLDER).unwrap());
    let error = Generation::open(&path, &domain::layout(), HOLDER).err().unwrap();
    assert!(matches!(error, GenerationError::Unfinished { .. }), "{error}");
}

#[test]
fn nothing_is_built_over_something() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let error = Generation::create(directory.path(), &domain::layout(), &zero(), HOLDER).err().unwrap();
    assert!(matches!(error, GenerationError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_generation_is_told_and_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let error = Generation::open(&path, &domain::layout(), HOLDER).err().unwrap();
    assert!(matches!(error, GenerationError::Missing { .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn what_is_read_at_one_moment_belongs_to_one_commit() {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let log = transcript(100, 3);
    let tries = Cell::new(0);
    let read = || generation.recount_digest().unwrap();
    let (moment, found) = generation
        .at_one_moment(|| {
            let found = read();
            tries.set(tries.get() + 1);
            if tries.get() == 1 {
                project(&generation, &log.records);
            }
            found
        })
        .unwrap();
    assert_eq!((tries.get(), found, moment.digest), (2, read(), generation.digest()));
    assert_eq!(moment.checkpoint, generation.checkpoint());

    let mut log = log;
    let commit_each_time = || {
        let record = log.write(&launched(Uuid::from_u128(1), "gold", None));
        project(&generation, &[record]);
    };
    assert!(generation.at_one_moment(commit_each_time).is_none());
}

#[test]
fn what_a_replay_needed_and_cannot_be_removed_keeps_nothing_from_being_finished_and_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let generation = Generation::create(&path, &domain::layout(), &crate::log::zero(), HOLDER).unwrap();
    fs::remove_dir_all(path.join("build")).unwrap();
    fs::write(path.join("build"), "no directory").unwrap();
    generation.finish().unwrap();
    drop(generation);
    drop(open(&path));
}
