//! An event that contradicts the row of one view waits for that view alone, in following and in a replay alike.

use std::path::Path;

use daybook_event::envelope::Source;
use daybook_event::event_data::{DataError, EventData, read_fields, unknown_type};
use daybook_projection::engine::{Engine, Incoming, Limits};
use daybook_projection::projection::ViewEntry;
use daybook_projection::quarantine::{
    PARKED_EVENTS_PER_KEY_MAX, ReleaseError, Released, SkippedEvent, leave_out, release, release_all,
};
use daybook_projection::{
    Checkpoint, Digest, EventMeta, FoldError, Generation, ParkedKey, Parts, Projection, ReadError, ReadModel,
    ReplayError, ReplayOptions, ReplayReport, RowError, StopReason, Topic, View, catch_up, replay,
};
use daybook_service::Stop;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::broken::parked;
use crate::broker::Broker;
use crate::log::{Dice, HOLDER, Record, fresh_of, sealed_as};

const TOPIC: &str = "charges";
const SERVICE: &str = "bank";
const CHARGED: &str = "toy.account.charged.v1";

/// An account was charged in a merchant. Those of [`UNKNOWN`] cents only a newer program can read.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Charged<const NEWER: bool> {
    account: Uuid,
    merchant: Uuid,
    cents: u16,
    /// Makes the change of an event as large as it is.
    note: String,
}

const UNKNOWN: u16 = 999;
/// The balance cannot take it.
const BALANCE_BREAKS: u16 = 13;
/// The merchant cannot take it, as long as it has sold for less than [`UNKNOWN`].
const SALES_BREAK: u16 = 14;
/// Neither can.
const BOTH_BREAK: u16 = 15;
/// The row cannot be read.
const UNREADABLE: u16 = 16;

impl<const NEWER: bool> EventData for Charged<NEWER> {
    fn event_type(&self) -> &'static str {
        CHARGED
    }
    fn to_data(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }
    fn from_data(event_type: &str, data: &RawValue) -> Result<Self, DataError> {
        let charged: Self = read_fields(event_type, data)?;
        match charged.cents == UNKNOWN && !NEWER {
            true => Err(unknown_type(event_type, &[CHARGED])),
            false => Ok(charged),
        }
    }
}

/// What a row and its parts are after a change: both are read before they are written, so that whatever a failed fold left shows.
fn add(row: Option<u64>, cents: u16, note: &str, parts: &mut Parts<'_>) -> Result<Option<u64>, FoldError> {
    let bucket = u32::from(cents % 3);
    let mut part = parts.read(bucket)?.unwrap_or_default();
    part.extend_from_slice(&cents.to_le_bytes());
    part.extend_from_slice(note.as_bytes());
    parts.write(bucket, part);
    Ok(Some(row.unwrap_or(0).wrapping_mul(3).wrapping_add(u64::from(cents))))
}

fn contradiction(parts: &Parts<'_>) -> FoldError {
    FoldError::Contradiction { key: parts.key(), detail: "broken".to_owned() }
}

/// By account, which is the key of the records. A mended program folds everything.
struct Balances<const NEWER: bool, const MENDED: bool>;

impl<const NEWER: bool, const MENDED: bool> View for Balances<NEWER, MENDED> {
    type Event = Charged<NEWER>;
    type Change = (u16, String);
    type Row = u64;
    const ID: u8 = 1;
    const NAME: &'static str = "balances";

    fn change(event: &Charged<NEWER>) -> Option<(Uuid, (u16, String))> {
        Some((event.account, (event.cents, event.note.clone())))
    }
    fn fold(
        row: Option<u64>,
        (cents, note): (u16, String),
        _: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<u64>, FoldError> {
        let row = add(row, cents, &note, parts)?;
        match !MENDED && [BALANCE_BREAKS, BOTH_BREAK].contains(&cents) {
            true => Err(contradiction(parts)),
            false => Ok(row),
        }
    }
}

/// By merchant: its changes are of records of several keys.
struct Sales<const NEWER: bool>;

impl<const NEWER: bool> View for Sales<NEWER> {
    type Event = Charged<NEWER>;
    type Change = (u16, String);
    type Row = u64;
    const ID: u8 = 2;
    const NAME: &'static str = "sales";

    fn change(event: &Charged<NEWER>) -> Option<(Uuid, (u16, String))> {
        Some((event.merchant, (event.cents, event.note.clone())))
    }
    fn fold(
        row: Option<u64>,
        (cents, note): (u16, String),
        _: &EventMeta<'_>,
        parts: &mut Parts<'_>,
    ) -> Result<Option<u64>, FoldError> {
        // Of several keys, so in whatever order they come.
        let (before, bucket) = (row.unwrap_or(0), u32::from(cents % 3));
        let part = parts.read(bucket)?.map_or(0, |part| u64::from_le_bytes(part.try_into().unwrap()));
        parts.write(bucket, (part + u64::from(cents) + note.len() as u64).to_le_bytes().to_vec());
        let row = Some(before + u64::from(cents));
        match cents {
            UNREADABLE => {
                Err(ReadError::row("sales", parts.key())(RowError::CutOff { field: "sold" }).into())
            }
            BOTH_BREAK => Err(contradiction(parts)),
            SALES_BREAK if before < u64::from(UNKNOWN) => Err(contradiction(parts)),
            _ => Ok(row),
        }
    }
}

const BANK: Projection<Charged<false>> = Projection {
    layout_version: 1,
    topics: &[Topic { name: TOPIC, service: SERVICE }],
    views: &[ViewEntry::of::<Balances<false, false>>(), ViewEntry::of::<Sales<false>>()],
};
/// The same of a program that reads everything.
const NEWER: Projection<Charged<true>> = Projection {
    layout_version: 1,
    topics: &[Topic { name: TOPIC, service: SERVICE }],
    views: &[ViewEntry::of::<Balances<true, false>>(), ViewEntry::of::<Sales<true>>()],
};
/// The same of a program whose balances take everything.
const MENDED: Projection<Charged<false>> = Projection {
    views: &[ViewEntry::of::<Balances<false, true>>(), ViewEntry::of::<Sales<false>>()],
    ..BANK
};

fn account(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) + 0xACC0)
}

fn merchant(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) + 0x5609)
}

/// A log of one partition.
#[derive(Default)]
struct Charges {
    records: Vec<Record>,
    position: u64,
}

impl Charges {
    fn of(charges: &[(u64, u64, u16)]) -> Self {
        let mut log = Self::default();
        charges.iter().for_each(|(account, merchant, cents)| log.charge(*account, *merchant, *cents, ""));
        log
    }

    fn charge(&mut self, in_account: u64, in_merchant: u64, cents: u16, note: &str) {
        let account = account(in_account);
        let charged =
            Charged::<true> { account, merchant: merchant(in_merchant), cents, note: note.to_owned() };
        let source = Source { service: SERVICE.into(), partition: 0 };
        let id = Uuid::from_u128(u128::from(self.position) + 1);
        let value = sealed_as(&charged, &source, self.position, id);
        self.position += 1;
        self.write(account.to_string().into_bytes(), value);
    }

    /// Writes a record again, as a relay does that lost its connection.
    fn repeat(&mut self, index: usize) {
        let Record { key, value, .. } = self.records[index].clone();
        self.write(key, value);
    }

    fn write(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.records.push(Record { source: 0, offset: self.records.len() as i64, key, value });
    }

    /// Few accounts and merchants, so that most rows are contradicted some time; repetitions.
    fn random(events: usize, seed: u64) -> Self {
        Self::drawn(events, seed, |dice| (dice.roll(9), dice.roll(7)))
    }

    fn drawn(events: usize, seed: u64, draw: impl Fn(&mut Dice) -> (u64, u64)) -> Self {
        let (mut log, mut dice) = (Self::default(), Dice(seed));
        while log.records.len() < events {
            if dice.roll(6) == 0 && !log.records.is_empty() {
                let back = dice.roll(log.records.len().min(9) as u64) as usize;
                log.repeat(log.records.len() - 1 - back);
                continue;
            }
            let cents = match dice.roll(40) {
                0 => BALANCE_BREAKS,
                1 => SALES_BREAK,
                2 => BOTH_BREAK,
                3 => UNKNOWN,
                other => other as u16 * 20 + 100,
            };
            let (account, merchant) = draw(&mut dice);
            log.charge(account, merchant, cents, "");
        }
        log
    }
}

fn zero() -> Checkpoint {
    Checkpoint::zero([(TOPIC, 1)])
}

fn fresh(path: &Path) -> Generation {
    fresh_of(path, BANK, &zero())
}

fn open(path: &Path) -> Generation {
    Generation::open(path, &BANK.layout(), HOLDER).unwrap()
}

fn apply<E: EventData>(
    engine: &mut Engine<E>,
    stored: &Generation,
    record: &Record,
) -> Result<(), StopReason> {
    let Record { source, offset, key, value } = record;
    let incoming = Incoming { source: *source, offset: *offset, key: Some(key), value: Some(value) };
    engine.apply(stored, incoming, Vec::new)
}

/// Projects what the generation does not have, with a commit after so many records.
fn project<E: EventData>(
    projection: Projection<E>,
    stored: &Generation,
    records: &[Record],
    commit_every: usize,
) {
    let mut engine = Engine::new(projection, &stored.checkpoint(), Limits::following(1 << 20));
    let from = stored.checkpoint().get(TOPIC, 0).unwrap().resume_offset;
    let left = records.iter().filter(|record| record.offset >= from);
    for (number, record) in left.enumerate() {
        apply(&mut engine, stored, record).unwrap();
        if number % commit_every == commit_every - 1 {
            engine.commit(stored).unwrap();
        }
    }
    engine.commit(stored).unwrap();
}

type State = (Digest, Vec<ParkedKey>);

fn state(generation: &Generation) -> State {
    assert_eq!(generation.recount_digest().unwrap(), generation.digest(), "kept up to date");
    (generation.digest(), parked(generation))
}

fn followed<E: EventData>(projection: Projection<E>, records: &[Record]) -> State {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(projection, &generation, records, usize::MAX);
    state(&generation)
}

fn skipped(generation: &Generation, position: u64) -> SkippedEvent {
    let name = format!("{TOPIC}/0@{position}").parse().unwrap();
    generation.quarantine().find(&name, "a test", "2026-11-30T08:00:00Z").unwrap()
}

fn options() -> ReplayOptions {
    ReplayOptions::new(1, HOLDER.to_owned())
}

fn broker(records: &[Record]) -> Broker {
    let broker = Broker::without_topics();
    broker.create_topic(TOPIC, 1);
    broker.write_to(TOPIC, 0, records);
    broker
}

fn rebuild(broker: &Broker, directory: &Path, options: &ReplayOptions) -> Result<ReplayReport, ReplayError> {
    let read_model = ReadModel::open(directory).unwrap();
    replay(&broker.kafka, &read_model, BANK, options, |_| {}, &Stop::default())
}

fn replayed(records: &[Record], options: &ReplayOptions) -> State {
    let (broker, directory) = (broker(records), tempfile::tempdir().unwrap());
    state(&open(&rebuild(&broker, directory.path(), options).unwrap().path))
}

#[test]
fn of_two_views_the_one_that_an_event_contradicts_waits_and_the_other_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let log = Charges::of(&[(1, 1, 3), (1, 1, 13), (1, 2, 4), (2, 1, 5), (2, 1, 14), (1, 1, 6), (3, 1, 15)]);
    project(BANK, &generation, &log.records, usize::MAX);
    let row = |view, key| generation.row(view, key).unwrap().is_some();
    assert!(row(1, account(1)) && row(1, account(2)) && !row(1, account(3)) && row(2, merchant(1)));
    let waits: Vec<_> = parked(&generation)
        .into_iter()
        .map(|key| (key.key, key.view, key.since_position, key.waiting, key.event_id))
        .collect();
    let key = |key: Uuid, view, since, waiting| (key.to_string(), Some(view), since, waiting, None);
    assert_eq!(
        waits,
        [key(merchant(1), 2, 4, 3), key(account(1), 1, 1, 3), key(account(3), 1, 6, 1)],
        "the merchant takes 13 cents, and the other balance 14"
    );
    assert!(generation.part(1, account(1), 1).unwrap().is_none(), "what the failed fold wrote is gone");
    assert_eq!(generation.checkpoint().events(), 7);
    // No answer names the events of which something waits.
    let quarantine = generation.quarantine();
    let waits = (0..7).filter(|at| quarantine.waiting_at(TOPIC, 0, *at).is_some());
    assert_eq!(waits.collect::<Vec<_>>(), [1, 2, 4, 5, 6]);
    let (source, at) = generation.checkpoint().sources().next().map(|(id, at)| (id.clone(), *at)).unwrap();
    assert_eq!(quarantine.last_projected(&source, at.next_position), Some(3));
}

/// A row that was changed since the last commit is made again as it was, whichever changes those were.
#[test]
fn stopped_anywhere_and_however_often_committed_rows_and_what_waits_are_the_same() {
    const EVENTS: usize = 220;
    for seed in [1, 2] {
        let log = Charges::random(EVENTS, seed);
        let expected = followed(BANK, &log.records);
        assert!(expected.1.len() > 8, "{:?}", expected.1);
        for commit_every in [1, 2, 7] {
            let directory = tempfile::tempdir().unwrap();
            let generation = fresh(&directory.path().join("gen"));
            project(BANK, &generation, &log.records, commit_every);
            assert_eq!(state(&generation), expected, "committed after {commit_every}");
        }
        for stop_after in (0..=EVENTS).step_by(3) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("gen");
            project(BANK, &fresh(&path), &log.records[..stop_after], usize::MAX);
            let generation = open(&path);
            project(BANK, &generation, &log.records, usize::MAX);
            assert_eq!(state(&generation), expected, "stopped after {stop_after}");
        }
    }
}

#[test]
fn a_replay_leaves_the_same_rows_and_lets_the_same_changes_wait() {
    for (seed, options) in [
        (3, options()),
        (4, ReplayOptions { memory_bytes_max: 0, runs_merged_max: 2, threads: 2, ..options() }),
    ] {
        let log = Charges::random(900, seed);
        assert_eq!(replayed(&log.records, &options), followed(BANK, &log.records), "seed {seed}");
    }
}

/// Its changes are in many groups, and its parts are written one by one while it is being folded.
#[test]
fn a_large_row_that_an_event_contradicts_late_is_made_again_from_its_runs() {
    let (mut log, mut dice) = (Charges::default(), Dice(5));
    for cents in (100..220).chain([13]).chain(220..225) {
        let noise: String = (0..900).map(|_| dice.uuid().simple().to_string()).collect();
        log.charge(1, 1, cents, &noise);
    }
    log.charge(2, 1, 14, "");
    log.charge(1, 1, 300, "");
    let expected = followed(BANK, &log.records);
    assert_eq!(expected.1.iter().map(|key| (key.view, key.waiting)).collect::<Vec<_>>(), [(Some(1), 7)]);
    let tiny = ReplayOptions { memory_bytes_max: 0, ..options() };
    assert_eq!(replayed(&log.records, &tiny), expected);
    assert_eq!(replayed(&log.records, &options()), expected);
}

/// What a build keeps aside goes on waiting, and what is left out is left out of it as well.
#[test]
fn a_follower_goes_on_with_what_a_replay_keeps_aside() {
    let (broker, directory) = (Broker::without_topics(), tempfile::tempdir().unwrap());
    broker.create_topic(TOPIC, 1);
    let log = Charges::random(400, 6);
    let (before, after) = log.records.split_at(250);
    broker.write_to(TOPIC, 0, before);
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert!(report.quarantine.events() > 8);
    broker.write_to(TOPIC, 0, after);
    let generation = open(&report.path);
    let other = tempfile::tempdir().unwrap();
    let expected = fresh(&other.path().join("gen"));
    project(BANK, &expected, &log.records, usize::MAX);
    catch_up(&broker.kafka, &generation, BANK, &expected.checkpoint(), &|| false).unwrap();
    assert_eq!(state(&generation), state(&expected));

    let key = parked(&generation).remove(2);
    let event = skipped(&generation, key.since_position);
    leave_out(&generation, BANK, vec![event.clone()]).unwrap();
    let skipping = ReplayOptions { skipped: vec![event.clone()], ..options() };
    let aside = tempfile::tempdir().unwrap();
    ReadModel::open(aside.path()).unwrap().note_skipped(event).unwrap();
    let report = rebuild(&broker, aside.path(), &skipping).unwrap();
    assert_eq!(state(&generation), state(&open(&report.path)));
}

#[test]
fn told_to_stop_a_replay_names_the_first_contradiction() {
    let log = Charges::of(&[(1, 1, 3), (1, 1, 13), (1, 1, 4)]);
    let (broker, directory) = (broker(&log.records), tempfile::tempdir().unwrap());
    let stopping = ReplayOptions { stop_at_quarantine: true, ..options() };
    let error = rebuild(&broker, directory.path(), &stopping).unwrap_err();
    let ReplayError::Stopped(reason @ StopReason::Fold { .. }) = &error else { panic!("{error}") };
    let at = reason.at().unwrap();
    assert_eq!((at.offset, at.event_id), (1, Some(Uuid::from_u128(2))), "{error}");
    let report = rebuild(&broker, directory.path(), &options()).unwrap();
    assert_eq!((report.quarantine.events(), report.published), (2, true));
}

/// A bound on one view's row stops the projection, and no other view has the event then.
#[test]
fn beyond_the_bound_on_one_row_it_stops_and_goes_on_once_the_first_is_left_out() {
    let mut log = Charges::of(&[(1, 1, 13)]);
    (0..PARKED_EVENTS_PER_KEY_MAX).for_each(|number| log.charge(2, 1, number as u16, ""));
    log = Charges { records: Vec::new(), ..log };
    log.position = 0;
    log.charge(1, 1, 14, "");
    (0..PARKED_EVENTS_PER_KEY_MAX).for_each(|number| log.charge(2 + number % 2, 1, 200, ""));
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let mut engine = Engine::new(BANK, &zero(), Limits::following(1 << 20));
    let stopped = log.records.iter().find_map(|record| apply(&mut engine, &generation, record).err());
    let reason = stopped.unwrap();
    let sentence = reason.to_string();
    let remedy = format!("projector --release {}", merchant(1));
    assert!(reason.slug() == "quarantine-full" && sentence.contains(&remedy), "{sentence}");
    engine.commit(&generation).unwrap();
    assert_eq!(generation.checkpoint().events(), PARKED_EVENTS_PER_KEY_MAX);
    // The balance, folded before, does not have it either.
    let (last, before) = log.records.split_last().unwrap();
    assert_eq!(state(&generation), followed(BANK, before));
    let left_out = vec![skipped(&generation, 0)];
    let released = leave_out(&generation, BANK, left_out.clone()).unwrap();
    assert_eq!(
        released,
        Released { projected: PARKED_EVENTS_PER_KEY_MAX - 1, left_out: 1, waiting: 0 },
        "the others were only behind it"
    );
    project(BANK, &generation, &[before, std::slice::from_ref(last)].concat(), usize::MAX);
    let again = fresh(&directory.path().join("again"));
    leave_out(&again, BANK, left_out).unwrap();
    project(BANK, &again, &log.records, usize::MAX);
    assert_eq!(state(&generation), state(&again));

    let (broker, other) = (broker(&log.records), tempfile::tempdir().unwrap());
    let error = rebuild(&broker, other.path(), &options()).unwrap_err();
    assert!(matches!(&error, ReplayError::Stopped(StopReason::QuarantineFull { .. })), "{error}");
}

/// The row that cannot be read is the store's fault: nothing waits, and what came before is kept.
#[test]
fn an_event_that_meets_an_unreadable_row_stops_and_leaves_no_trace_in_other_views() {
    let log = Charges::of(&[(1, 1, 3), (1, 1, 16)]);
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    let mut engine = Engine::new(BANK, &zero(), Limits::following(1 << 20));
    apply(&mut engine, &generation, &log.records[0]).unwrap();
    let reason = apply(&mut engine, &generation, &log.records[1]).unwrap_err();
    assert!(matches!(&reason, StopReason::Fold { error: FoldError::Read(_), .. }), "{reason}");
    engine.commit(&generation).unwrap();
    assert_eq!(generation.checkpoint().events(), 1);
    assert_eq!(state(&generation), followed(BANK, &log.records[..1]));
}

#[test]
fn what_is_released_of_one_view_equals_a_log_that_never_contradicted_it() {
    let log = Charges::of(&[(1, 1, 3), (1, 1, 13), (1, 2, 4), (2, 1, 14), (1, 3, 15), (1, 1, 5)]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gen");
    let generation = fresh(&path);
    project(BANK, &generation, &log.records, usize::MAX);
    let before = state(&generation);
    let error = release(&generation, BANK, &account(1).to_string()).unwrap_err();
    assert!(matches!(&error, ReleaseError::StillFails { .. }) && error.to_string().contains("broken"));
    assert_eq!((state(&generation), generation.quarantine().releases()), (before, 0), "nothing is written");
    let released = release(&generation, MENDED, &account(1).to_string()).unwrap();
    assert_eq!(released, Released { projected: 4, left_out: 0, waiting: 0 });
    assert_eq!(state(&generation), followed(MENDED, &log.records));
    // The merchants still wait, also when it is opened again.
    drop(generation);
    let generation = open(&path);
    let waiting: u64 = parked(&generation).iter().map(|key| key.waiting).sum();
    let nothing = Released { projected: 0, left_out: 0, waiting };
    assert_eq!((release_all(&generation, MENDED).unwrap(), waiting), (nothing, 3));
    assert_eq!(state(&generation), followed(MENDED, &log.records));
}

#[test]
fn an_event_is_left_out_of_those_views_only_that_it_contradicts() {
    let log = Charges::of(&[(1, 1, 3), (1, 1, 13), (1, 2, 4), (2, 2, 15), (2, 2, 5), (1, 2, 13)]);
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(BANK, &generation, &log.records, usize::MAX);
    let (one, both) = (skipped(&generation, 1), skipped(&generation, 3));
    assert_eq!((&one.views[..], &both.views[..]), (&[1][..], &[1, 2][..]));
    let released = leave_out(&generation, BANK, vec![one.clone()]).unwrap();
    assert_eq!(released, Released { projected: 1, left_out: 1, waiting: 1 });
    let released = leave_out(&generation, BANK, vec![one.clone(), both.clone()]).unwrap();
    assert_eq!(released, Released { projected: 3, left_out: 2, waiting: 0 });
    let all = vec![one, both];
    assert_eq!(leave_out(&generation, BANK, all.clone()).unwrap(), Released::default(), "said again");

    let (broker, other) = (broker(&log.records), tempfile::tempdir().unwrap());
    let read_model = ReadModel::open(other.path()).unwrap();
    for event in &all {
        read_model.note_skipped(event.clone()).unwrap();
    }
    let built = open(&rebuild(&broker, other.path(), &options()).unwrap().path);
    let again = fresh(&directory.path().join("again"));
    leave_out(&again, BANK, all).unwrap();
    project(BANK, &again, &log.records, 2);
    assert_eq!(state(&built), state(&generation));
    assert_eq!(state(&again), state(&generation));
    let since: Vec<_> = parked(&generation).iter().map(|key| (key.view, key.since_position)).collect();
    assert_eq!(since, [(Some(1), 5)]);
}

/// Events of another log at the same place are others.
#[test]
fn an_event_that_is_left_out_of_a_view_is_known_by_its_time() {
    let log = Charges::of(&[(1, 1, 3), (1, 1, 13)]);
    let directory = tempfile::tempdir().unwrap();
    let generation = fresh(&directory.path().join("gen"));
    project(BANK, &generation, &log.records, usize::MAX);
    let left_out = skipped(&generation, 1);
    let strangers = SkippedEvent { id: Uuid::from_u128(2), ..left_out.clone() };
    for (event, waits) in [(strangers, 1), (left_out, 0)] {
        let again = fresh(&directory.path().join(event.id.to_string()));
        leave_out(&again, BANK, vec![event]).unwrap();
        project(BANK, &again, &log.records, usize::MAX);
        assert_eq!(again.quarantine().events(), waits);
    }
}

/// Whole events that a newer program can read may lie before those that wait for a row, behind them, or contradict it.
#[test]
fn events_that_are_released_whole_meet_the_rows_that_wait() {
    for (number, charges) in [
        // Before the one that contradicts, which then does so no more.
        &[(1, 1, 999), (2, 1, 14), (3, 1, 5)][..],
        // Behind it.
        &[(2, 1, 15), (1, 1, 999), (1, 1, 7), (3, 1, 5)],
        // The later events of its key contradict.
        &[(1, 1, 999), (1, 1, 13), (1, 1, 15), (1, 1, 6)],
        // A row of the same key waits as well.
        &[(1, 1, 3), (1, 1, 13), (1, 1, 4), (1, 1, 999), (1, 1, 15)],
    ]
    .into_iter()
    .enumerate()
    {
        let log = Charges::of(charges);
        let directory = tempfile::tempdir().unwrap();
        let generation = fresh(&directory.path().join("gen"));
        project(BANK, &generation, &log.records, usize::MAX);
        release_all(&generation, NEWER).unwrap();
        assert_eq!(state(&generation), followed(NEWER, &log.records), "case {number}");
    }
}

/// Each merchant has one account: of rows that gather several keys, some are ahead of what is released.
#[test]
fn whatever_waits_a_newer_program_makes_the_same_of_it_as_of_the_log() {
    for seed in 20..40 {
        let log = Charges::drawn(120, seed, |dice| {
            let merchant = dice.roll(7);
            (merchant % 4, merchant)
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gen");
        project(BANK, &fresh(&path), &log.records[..100], 3);
        let generation = open(&path);
        release_all(&generation, NEWER).unwrap();
        project(NEWER, &generation, &log.records, 5);
        assert_eq!(state(&generation), followed(NEWER, &log.records), "seed {seed}");
    }
}

/// What is released of one key may be what another row was waiting for.
#[test]
fn a_key_that_is_released_frees_the_rows_that_its_events_come_to() {
    for charges in
        [&[(1, 1, 999), (2, 1, 14), (3, 1, 5)][..], &[(2, 1, 15), (1, 1, 999), (1, 1, 7), (3, 1, 5)]]
    {
        let log = Charges::of(charges);
        let directory = tempfile::tempdir().unwrap();
        let generation = fresh(&directory.path().join("gen"));
        project(BANK, &generation, &log.records, usize::MAX);
        release(&generation, NEWER, &account(1).to_string()).unwrap();
        assert_eq!(state(&generation), followed(NEWER, &log.records));
    }
}
