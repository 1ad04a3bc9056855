//! One flipped bit of a published row is found, by name.

use std::path::Path;

use daybook_projection::read_model::VERIFY_DIRECTORY;
use daybook_projection::verify::{Range, RangeDigest, RowsAt, Sample, Serves, VerifyReport, verify};
use daybook_projection::{
    Comparison, Generation, ReadModel, ReadModelError, ReplayError, ReplayOptions, replay,
};
use daybook_service::Stop;
use daybook_store::testing::{flip_row, flip_sorted, open_rows};
use serde_json::json;
use uuid::Uuid;

use crate::broker::Broker;
use crate::domain::{self, joined, launched, paid_in};
use crate::log::{HOLDER, Log, open};
use crate::rebuilds::{follow_to_the_end, options, rebuild};
use crate::server::Server;
use crate::transcript::transcript;

const LIMIT: usize = 10;

fn verified(broker: &Broker, directory: &Path) -> VerifyReport {
    verified_up_to(broker, directory, LIMIT)
}

fn verified_up_to(broker: &Broker, directory: &Path, limit: usize) -> VerifyReport {
    let read_model = ReadModel::open(directory).unwrap();
    let options = ReplayOptions { publish: false, ..options() };
    let never = Stop::default();
    verify(&broker.kafka, &read_model, domain::projection(), &options, limit, |_| {}, &never).unwrap()
}

#[test]
fn a_flipped_bit_in_a_block_and_one_in_a_loose_row_are_named() {
    let broker = Broker::start();
    let mut log = Log::default();
    let funds: Vec<Uuid> = (0..300).map(|number| Uuid::from_u128(0x100 + number)).collect();
    for (number, fund) in funds.iter().enumerate() {
        log.write(&launched(*fund, &format!("fund {number:03}"), None));
    }
    log.write(&joined(Uuid::from_u128(7)));
    log.write(&paid_in(Uuid::from_u128(8), Uuid::from_u128(7), funds[0], 1));
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let sound = verified(&broker, directory.path());
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.generation.as_str(), sound.events), ("gen-000001", report.events));

    flip_sorted(&report.path.join("rows"), b"fund 123");
    let found = verified(&broker, directory.path());
    assert!(!found.is_sound());
    let [difference] = found.differences.as_slice() else { panic!("{found:?}") };
    assert_eq!((difference.view.as_str(), difference.key), ("funds", funds[123]));
    let (served, rebuilt) = (difference.served.as_ref().unwrap(), difference.rebuilt.as_ref().unwrap());
    assert!(rebuilt.contains(&hex::encode(b"fund 123")), "{rebuilt}");
    assert_eq!(served.len(), rebuilt.len());
    // The digest that was kept knows nothing of it: it tells what was written.
    assert_eq!(found.digest_kept, found.digest_rebuilt);

    // Changed since it was built, so it lies loose; its block still holds the flipped one.
    let before = log.records.len();
    log.write(&launched(funds[123], "fund new", None));
    broker.write(&log.records[before..]);
    rebuild(&broker, directory.path(), &ReplayOptions { publish: false, ..options() }).unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    crate::rebuilds::follow_to_the_end(&broker, &read_model, log.records.len() as u64);
    // Every row is right again; the digest that was kept still tells that one was replaced which nobody had written.
    let mended = verified(&broker, directory.path());
    assert!(mended.differences.is_empty() && !mended.is_sound(), "{mended:?}");
    flip_row(&report.path.join("rows"), b"fund new");
    let found = verified(&broker, directory.path());
    assert_eq!(found.differences.len(), 1, "{found:?}");
    assert_eq!(found.differences[0].key, funds[123]);
    assert!(!directory.path().join("verify").exists());
}

/// As an opening of sled leaves it that has dropped what was damaged in the middle of its log: the digest is the newest.
#[test]
fn rows_that_are_not_those_of_their_digest_are_compared_with_nothing() {
    let broker = Broker::start();
    let mut log = Log::default();
    log.write(&launched(Uuid::from_u128(1), "fund old", None));
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    log.write(&launched(Uuid::from_u128(2), "fund new", None));
    broker.write(&log.records[1..]);
    let read_model = ReadModel::open(directory.path()).unwrap();
    crate::rebuilds::follow_to_the_end(&broker, &read_model, log.records.len() as u64);
    flip_row(&report.path.join("rows"), b"fund new");
    let second = rebuild(&broker, directory.path(), &options()).unwrap();
    let Comparison::NotComparable { reason, damaged } = &second.compared else {
        panic!("{:?}", second.compared)
    };
    assert!(reason.contains("its rows have digest"), "{reason}");
    assert_eq!(damaged.as_deref(), Some("gen-000001"));
}

/// Flips a bit of every copy of `needle` in sled's log, which knows by its checksums then that something is wrong there.
fn flip_on_disk(rows: &Path, needle: &[u8]) {
    let path = rows.join("db");
    let mut bytes = std::fs::read(&path).unwrap();
    let found: Vec<_> =
        (0..=bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!found.is_empty(), "{needle:?} is not there");
    found.iter().for_each(|at| bytes[*at] ^= 1);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_bit_flipped_in_the_file_is_found_between_its_neighbours_and_a_replay_replaces_it() {
    const FUNDS: usize = 9_000;
    const FLIPPED: usize = 2_000;
    // So many bytes that sled does not look at all of them when it is opened.
    let noise = "x".repeat(100);
    let broker = Broker::start();
    let mut log = Log::default();
    let funds: Vec<Uuid> = (0..FUNDS).map(|number| Uuid::from_u128(0x100 + number as u128)).collect();
    for (number, fund) in funds.iter().enumerate() {
        log.write(&launched(*fund, &format!("fund {number:05} {noise}"), None));
    }
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    // Once it has been opened, sled notices what is damaged when it is read, and not when it is opened again.
    drop(open(&report.path));
    flip_on_disk(&report.path.join("rows"), format!("fund {FLIPPED:05}").as_bytes());
    let found = verified(&broker, directory.path());
    let [rows] = found.unreadable.as_slice() else { panic!("{found:?}") };
    let (after, before) = (rows.after.as_ref().unwrap(), rows.before.as_ref().unwrap());
    assert_eq!((after.view.as_str(), before.view.as_str()), ("funds", "funds"));
    assert!((after.key..before.key).contains(&funds[FLIPPED]), "{rows:?}");
    assert!(found.is_unreadable_only());
    assert!(found.differences.is_empty() && !found.is_sound(), "{found:?}");

    let before = log.records.len();
    log.write(&launched(funds[FLIPPED], "fund new", None));
    broker.write(&log.records[before..]);
    let second = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(second.published);
    let Comparison::NotComparable { reason, .. } = &second.compared else { panic!("{:?}", second.compared) };
    assert!(reason.contains("gen-000001"), "{reason}");
    assert!(verified(&broker, directory.path()).is_sound());
}

/// A page goes bad between two attempts, of a build that has all its rows: nothing is published, and it is not met again.
#[test]
fn a_settled_build_whose_page_goes_bad_is_begun_anew() {
    const FLIPPED: usize = 2_000;
    let noise = "x".repeat(100);
    let (broker, mut log) = (Broker::start(), Log::default());
    for number in 0..9_000 {
        let fund = Uuid::from_u128(0x100 + number as u128);
        log.write(&launched(fund, &format!("fund {number:05} {noise}"), None));
    }
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    rebuild(&broker, directory.path(), &options()).unwrap();
    let second = directory.path().join("gen-000002");
    let read_model = ReadModel::open(directory.path()).unwrap();
    let cancelled = Stop::default();
    let once_settled = |_| {
        let journal = std::fs::read_to_string(second.join("build/JOURNAL")).unwrap_or_default();
        if journal.contains("\"settled\":true") {
            cancelled.request();
        }
    };
    let stopped =
        replay(&broker.kafka, &read_model, domain::projection(), &options(), once_settled, &cancelled);
    assert!(matches!(stopped, Err(ReplayError::Cancelled { .. })), "{stopped:?}");
    drop(Generation::resume(&second, &domain::layout(), HOLDER).unwrap());
    flip_on_disk(&second.join("rows"), format!("fund {FLIPPED:05}").as_bytes());
    // Whoever follows to where the served one is has to read that page.
    let before = log.records.len();
    log.write(&launched(Uuid::from_u128(0x100 + FLIPPED as u128), "fund new", None));
    broker.write(&log.records[before..]);
    follow_to_the_end(&broker, &read_model, log.records.len() as u64);
    let because = ReplayOptions { accept_difference: Some("a test".to_owned()), ..options() };
    for options in [options(), because] {
        match rebuild(&broker, directory.path(), &options) {
            Err(ReplayError::Generation(error)) => assert!(error.is_damage(), "{error}"),
            Ok(report) => {
                assert!(!report.resumed && matches!(report.compared, Comparison::Equal { .. }), "{report:?}");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("it is not begun anew");
}

#[test]
fn a_verification_that_is_stopped_leaves_nothing_behind() {
    let broker = Broker::start();
    broker.write(&transcript(100, 95).records);
    let directory = tempfile::tempdir().unwrap();
    rebuild(&broker, directory.path(), &options()).unwrap();
    let read_model = ReadModel::open(directory.path()).unwrap();
    let stopped = Stop::default();
    stopped.request();
    let verified =
        verify(&broker.kafka, &read_model, domain::projection(), &options(), LIMIT, |_| {}, &stopped);
    assert!(verified.is_err(), "{verified:?}");
    assert!(!directory.path().join(VERIFY_DIRECTORY).exists());
}

/// The process that serves stopped at a row that it cannot read: what it has kept says nothing then.
#[test]
fn what_its_server_cannot_read_is_replaced_without_being_told_to() {
    let broker = Broker::start();
    broker.write(&transcript(100, 93).records);
    let directory = tempfile::tempdir().unwrap();
    let first = rebuild(&broker, directory.path(), &options()).unwrap();
    let served = open(&first.path);
    let sample = Sample { unreadable: Some("a bad page".to_owned()), ..sample_of(&served) };
    // It serves something else than what is open: who serves is asked, and nothing is opened.
    let server = Server::start(directory.path(), move |_, _| {
        json!(Serves { sample: Some(sample.clone()), opens: false, trouble: None })
    });
    let second = rebuild(&broker, directory.path(), &options()).unwrap();
    let Comparison::NotComparable { reason, .. } = &second.compared else { panic!("{:?}", second.compared) };
    assert!(reason.contains("gen-000001 cannot be read: a bad page"), "{reason}");
    assert!(server.end().iter().all(|path| path == "/sample"));
    // It is in use, and not removed yet.
    let read_model = ReadModel::open(directory.path()).unwrap();
    assert_eq!(read_model.withdrawn().unwrap()[0].generation, "gen-000001");
    assert!(matches!(read_model.roll_back(), Err(ReadModelError::NothingOlder { .. })));
    drop(served);
}

/// The process that serves cannot open it, and says why: what helps is reported soon, and works.
#[test]
fn what_its_server_cannot_open_is_replaced_without_a_comparison_only_for_a_reason() {
    let broker = Broker::start();
    broker.write(&transcript(100, 95).records);
    let directory = tempfile::tempdir().unwrap();
    rebuild(&broker, directory.path(), &options()).unwrap();
    let server = Server::start(directory.path(), |_, _| {
        json!(Serves { sample: None, opens: true, trouble: Some("Permission denied".to_owned()) })
    });
    let refused = rebuild(&broker, directory.path(), &options()).unwrap_err();
    let ReplayError::NotCompared { reason } = &refused else { panic!("{refused}") };
    assert!(reason.contains("Permission denied"), "{reason}");
    assert!(refused.to_string().contains("`--accept-difference WHY`"), "{refused}");
    let because = ReplayOptions { accept_difference: Some("the disk is gone".to_owned()), ..options() };
    let second = rebuild(&broker, directory.path(), &because).unwrap();
    let Comparison::NotCompared { reason, why } = &second.compared else { panic!("{:?}", second.compared) };
    assert!(reason.contains("Permission denied") && why == "the disk is gone", "{reason}");
    assert!(second.published && second.resumed, "{second:?}");
    server.end();
}

/// A process begins to serve while it is open here.
#[test]
fn a_verification_lets_go_of_what_is_about_to_be_served_and_ends_where_it_is_served() {
    let broker = Broker::start();
    broker.write(&transcript(100, 94).records);
    let directory = tempfile::tempdir().unwrap();
    let path = rebuild(&broker, directory.path(), &options()).unwrap().path;
    // Twice nobody serves: for the goal, and when it is opened here. Then somebody wants it.
    let (mut asked, mut serving) = (0, None);
    let server = Server::start(directory.path(), move |asks, body| {
        asked += 1;
        if asked > 3 && serving.is_none() {
            serving = Generation::open(&path, &domain::layout(), "a server").ok();
        }
        let Some(generation) = &serving else {
            return json!(Serves { sample: None, opens: asked > 2, trouble: None });
        };
        let (layout, never) = (domain::layout().to_string(), || false);
        match asks {
            "/sample" => json!(Serves { sample: Some(sample_of(generation)), opens: false, trouble: None }),
            "/digests" => {
                let ranges: Vec<Range> = serde_json::from_slice(body).unwrap();
                json!(RangeDigest::of_all(generation, &ranges, &never).unwrap())
            }
            _ => {
                let (range, limit): (Range, usize) = serde_json::from_slice(body).unwrap();
                json!(RowsAt::read(("gen-000001", &layout), generation, &range, limit).unwrap())
            }
        }
    });
    let report = verified(&broker, directory.path());
    assert!(report.is_sound(), "{report:?}");
    let asked = server.end();
    assert!(asked.contains(&"/digests".to_owned()), "{asked:?}");
}

/// A range of which far more rows are there than should be is gone through in pieces.
#[test]
fn every_row_that_nobody_wrote_is_named_however_many_there_are() {
    const ROWS: u128 = 20_000;
    let broker = Broker::start();
    let mut log = Log::default();
    log.write(&launched(Uuid::from_u128(1), "gold", None));
    broker.write(&log.records);
    let directory = tempfile::tempdir().unwrap();
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    let rows = open_rows(&report.path.join("rows"));
    for number in 0..ROWS {
        let key = [&[1][..], Uuid::from_u128(0x1000 + number).as_bytes()].concat();
        rows.insert(&key, &[1, 7]).unwrap();
    }
    drop(rows);
    let found = verified_up_to(&broker, directory.path(), 2 * ROWS as usize);
    assert_eq!((found.differences.len(), found.more), (ROWS as usize, false));
    assert!(found.differences.is_sorted_by_key(|difference| difference.key));
    let found = verified(&broker, directory.path());
    assert_eq!((found.differences.len(), found.more), (LIMIT, true));
}

fn sample_of(generation: &Generation) -> Sample {
    Sample::of("gen-000001", &domain::layout().to_string(), &generation.moment())
}
