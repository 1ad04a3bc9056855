//! Generations on disk: one owner, finished or not, layout, damage.

use std::fs;

use projector::kernel::{Generation, GenerationError};
use projector::shop;

use crate::log::{HOLDER, fresh, open, project, transcript, zero};

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

#[test]
fn a_generation_in_use_is_refused_with_its_holder() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let _held = fresh(&path);
    let error = Generation::open(&path, &shop::layout(), "somebody else").err().unwrap();
    assert!(matches!(&error, GenerationError::InUse { holder, .. } if holder == HOLDER), "{error}");
}

#[test]
fn an_unfinished_generation_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    drop(Generation::create(&path, &shop::layout(), &zero(), HOLDER).unwrap());
    let error = Generation::open(&path, &shop::layout(), HOLDER).err().unwrap();
    assert!(matches!(error, GenerationError::Unfinished { .. }), "{error}");
}

#[test]
fn nothing_is_built_over_something() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let error = Generation::create(directory.path(), &shop::layout(), &zero(), HOLDER).err().unwrap();
    assert!(matches!(error, GenerationError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_generation_is_told_and_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let error = Generation::open(&path, &shop::layout(), HOLDER).err().unwrap();
    assert!(matches!(error, GenerationError::Missing { .. }), "{error}");
    assert!(!path.exists());
}
