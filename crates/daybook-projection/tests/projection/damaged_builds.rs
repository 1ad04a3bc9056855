//! A bit flips in a file of a build that is not finished: the build is begun anew, and nothing is missing from it.

use std::fs;
use std::path::{Path, PathBuf};

use daybook_projection::{ReadModel, ReplayError, ReplayOptions, ReplayProgress, replay};
use daybook_service::Stop;

use crate::broken::{broken_transcript, outcome_of, parked};
use crate::broker::Broker;
use crate::domain;
use crate::log::open;
use crate::rebuilds::{options, rebuild};

/// Leaves a build that was stopped while it read, with runs and records that wait.
fn stopped(broker: &Broker, directory: &Path) -> PathBuf {
    let read_model = ReadModel::open(directory).unwrap();
    let cancelled = Stop::default();
    let stop = |progress: ReplayProgress| {
        if progress.done > 0 {
            cancelled.request()
        }
    };
    let slow = ReplayOptions { memory_bytes_max: 0, rate_max: Some(1_500), ..options() };
    let stopped = replay(&broker.kafka, &read_model, domain::projection(), &slow, stop, &cancelled);
    assert!(matches!(stopped, Err(ReplayError::Cancelled { .. })), "{stopped:?}");
    directory.join("gen-000001/build")
}

/// In the middle of the first file whose name ends so.
fn flip(build: &Path, ends: &str) {
    let mut files: Vec<_> = fs::read_dir(build).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| file.to_str().unwrap().ends_with(ends) && file.metadata().unwrap().len() > 0);
    let mut bytes = fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[0], bytes).unwrap();
}

#[test]
fn a_build_that_lost_a_file_is_begun_anew() {
    let broker = Broker::start();
    let log = broken_transcript(3_000, 92);
    broker.write(&log.records);
    for ends in [".run", ".parked"] {
        let directory = tempfile::tempdir().unwrap();
        let build = stopped(&broker, directory.path());
        let files = fs::read_dir(&build).unwrap().map(|entry| entry.unwrap().path());
        let lost: Vec<_> = files.filter(|file| file.to_str().unwrap().ends_with(ends)).collect();
        lost.iter().for_each(|file| fs::remove_file(file).unwrap());
        let report = rebuild(&broker, directory.path(), &options());
        let report = report.unwrap_or_else(|error| panic!("{ends}: {error}"));
        assert_eq!((report.published, report.resumed), (true, false), "{ends}");
        assert_eq!(report.digest, outcome_of(&log.records).0, "{ends}");
    }
}

#[test]
fn a_build_that_was_damaged_is_begun_anew() {
    let broker = Broker::start();
    let log = broken_transcript(3_000, 92);
    broker.write(&log.records);
    let expected = outcome_of(&log.records);
    for file in [".run", ".parked", "JOURNAL"] {
        let directory = tempfile::tempdir().unwrap();
        flip(&stopped(&broker, directory.path()), file);
        let report = rebuild(&broker, directory.path(), &options());
        let report = report.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((report.published, report.resumed), (true, false), "{file}");
        let generation = open(&report.path);
        assert_eq!((generation.digest(), parked(&generation)), expected, "{file}");
    }
}

#[test]
fn a_build_with_a_directory_for_a_file_is_named_and_can_be_discarded() {
    let broker = Broker::start();
    let log = broken_transcript(3_000, 92);
    broker.write(&log.records);
    for file in ["BUILDING", "LAYOUT", "rows/db", "build/JOURNAL", "build"] {
        let directory = tempfile::tempdir().unwrap();
        stopped(&broker, directory.path());
        let path = directory.path().join("gen-000001").join(file);
        match path.is_dir() {
            true => {
                fs::remove_dir_all(&path).unwrap();
                fs::write(&path, "").unwrap();
            }
            false => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
        }
        let reported = rebuild(&broker, directory.path(), &options());
        // Rows that do not count yet are written anew.
        if file != "rows/db" {
            let reported = reported.unwrap_err().to_string();
            let named = format!(" {} belongs", path.display());
            assert!(reported.contains(&named) && reported.contains("projector --discard"), "{reported}");
            ReadModel::open(directory.path()).unwrap().discard().unwrap();
        }
        let report = rebuild(&broker, directory.path(), &options()).unwrap();
        assert_eq!(report.digest, outcome_of(&log.records).0, "{file}");
    }
}

/// Whatever it led to is not there any more, or not mounted.
#[test]
fn a_link_that_leads_nowhere_in_place_of_a_generation_is_replaced_or_removed() {
    let broker = Broker::start();
    broker.write(&broken_transcript(30, 92).records);
    let directory = tempfile::tempdir().unwrap();
    let link = |name: &str| {
        std::os::unix::fs::symlink(directory.path().join("nowhere"), directory.path().join(name)).unwrap();
    };
    link("gen-000001");
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!((&*report.generation, report.retired), ("gen-000002", vec!["gen-000001".to_owned()]));
    link("gen-000003");
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert!(read_model.unfinished().unwrap().is_empty());
    assert_eq!(read_model.discard().unwrap(), ["gen-000003"]);
    // What is published was replaced by one.
    fs::remove_dir_all(directory.path().join("gen-000002")).unwrap();
    link("gen-000002");
    assert!(read_model.discard().unwrap().is_empty());
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!((report.published, report.retired), (true, vec!["gen-000002".to_owned()]));
    assert_eq!(read_model.names().unwrap(), [report.generation]);
}
