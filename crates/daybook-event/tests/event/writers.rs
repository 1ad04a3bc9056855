//! Writers and their epochs: claims, and which records count.

use std::borrow::Cow;

use daybook_event::EventData as _;
use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::{self, Envelope, Source, as_sent, seal};
use daybook_event::event_data::open_canonical;
use daybook_event::sequence::{Reached, Sequence, Verdict};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::derived::{self, LetterEvent};
use crate::sample::{LETTER, LETTER_DATA, letter_headers, sealable};

fn a_claim() -> Claim<'static> {
    Claim {
        id: Uuid::from_u128(7),
        source: Source { service: "letters".into(), partition: 3 },
        epoch: 12,
        writer: Writer {
            instance: Uuid::from_u128(8),
            host: "host-1".to_owned(),
            claimed_at: Timestamp::from_microsecond(1_772_441_841_372_534).unwrap(),
        },
    }
}

#[test]
fn a_claim_opens_to_itself_and_is_no_event() {
    let sealed = claim::seal(&a_claim()).unwrap();
    assert_eq!(claim::open(Some(&sealed)), Some(Ok(a_claim())));
    let error = envelope::open(Some(&sealed), Vec::new).unwrap_err();
    assert_eq!(error.to_string(), "attribute `sequence` is missing");
}

#[test]
fn what_is_wrong_with_a_claim_is_named() {
    let sealed = claim::seal(&a_claim()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
    for (attribute, found, said) in [
        ("writerepoch", json!(null), "attribute `writerepoch` is missing"),
        ("writerepoch", json!(0), "attribute `writerepoch` is missing"),
        ("writerepoch", json!(1_u64 << 31), "attribute `writerepoch` is `2147483648`"),
        ("writerepoch", json!("-1"), "attribute `writerepoch` is `-1`"),
        ("source", json!("letters"), "attribute `source` is `letters`"),
        ("id", json!(7), "attribute `id` is"),
        ("data", json!({"host": "host-1"}), "missing field `instance`"),
    ] {
        let mut value = value.clone();
        value[attribute] = found;
        let error = claim::open(Some(value.to_string().as_bytes())).unwrap().unwrap_err();
        assert!(error.to_string().contains(said), "{attribute}: {error}");
    }
    assert_eq!(claim::open(Some(LETTER.as_bytes())), None);
    assert_eq!(claim::open(None), None);
    assert_eq!(claim::open(Some(b"claim")), None);
}

#[test]
fn an_epoch_out_of_range_is_refused_in_both_modes() {
    let canonical = Envelope {
        event_type: "post.letter.written.v3".into(),
        data: Cow::Owned(derived::written().to_data().unwrap()),
        ..envelope::open(Some(LETTER.as_bytes()), Vec::new).unwrap()
    };
    let sealed = String::from_utf8(seal(&canonical).unwrap()).unwrap();
    for (epoch, opens) in [("2147483647", true), ("2147483648", false), ("-1", false), ("\"x\"", false)] {
        let with_epoch = format!("\"specversion\":\"1.0\",\"writerepoch\":{epoch},");
        let value = sealed.replacen("\"specversion\":\"1.0\",", &with_epoch, 1);
        let opened = envelope::open(Some(value.as_bytes()), Vec::new);
        assert_eq!(opened.is_ok(), opens, "{epoch}: {opened:?}");
        assert!(opened.is_ok() || opened.unwrap_err().to_string().contains("`writerepoch`"), "{epoch}");
        let read_fast = open_canonical::<LetterEvent>(value.as_bytes());
        assert_eq!(read_fast.is_some(), opens, "{epoch}: {read_fast:?}");
    }
    for (epoch, found) in
        [("2147483647", Some(2_147_483_647)), ("2147483648", None), ("-1", None), ("x", None)]
    {
        let mut headers = letter_headers();
        headers.push(("ce_writerepoch".to_owned(), epoch.into()));
        let opened = envelope::open(Some(LETTER_DATA.as_bytes()), || headers);
        let opened = opened.map(|opened| opened.writer_epoch);
        assert_eq!(opened.as_ref().ok(), found.as_ref(), "{epoch}: {opened:?}");
        assert!(opened.is_ok() || opened.unwrap_err().to_string().contains("`writerepoch`"), "{epoch}");
    }
}

/// What lies in a partition.
#[derive(Debug, Clone, Copy)]
enum Lying {
    Claim { epoch: u32 },
    Event { epoch: u32, position: u64, id: Uuid },
}

/// Judges the record at `offset`, and notes it.
fn read(sequence: &mut Sequence, lying: Lying, offset: i64) -> Verdict {
    let (verdict, epoch, id) = match lying {
        Lying::Claim { epoch } => (sequence.check_claim(epoch), epoch, Uuid::nil()),
        Lying::Event { epoch, position, id } => {
            (sequence.check(epoch, position, id, None).unwrap(), epoch, id)
        }
    };
    sequence.pass(verdict, epoch, id, offset);
    verdict
}

/// A log that several writers wrote: each claims, finds out what was there before its claim, and goes on behind it; what
/// it sends comes to lie in order, but any time later. Returns what the last one in force counts on.
fn written(choices: &[u8]) -> (Vec<Lying>, Vec<Uuid>) {
    let (mut log, mut sequence, mut in_force) = (Vec::new(), Sequence::default(), Vec::new());
    // Per writer: its epoch, and what it has sent that does not lie in the log yet.
    let mut under_way: Vec<(u32, Vec<(u64, Uuid)>)> = Vec::new();
    let mut ids = 1..;
    for choice in choices {
        let lying = if *choice < 32 || under_way.is_empty() {
            let epoch = under_way.iter().map(|(epoch, _)| *epoch).max().unwrap_or(0) + u32::from(*choice % 2);
            let first = sequence.next_position();
            // Every other time two writers claim with one epoch; who comes second sends nothing.
            let wins = epoch > sequence.epoch();
            let events = (first..first + 6).zip(ids.by_ref().map(Uuid::from_u128)).collect();
            under_way.push((epoch, if wins { events } else { Vec::new() }));
            Lying::Claim { epoch }
        } else {
            let writer = usize::from(*choice) % under_way.len();
            let (epoch, events) = &mut under_way[writer];
            if events.is_empty() {
                continue;
            }
            let (position, id) = events.remove(0);
            Lying::Event { epoch: *epoch, position, id }
        };
        if read(&mut sequence, lying, log.len() as i64) == Verdict::Apply
            && let Lying::Event { id, .. } = lying
        {
            in_force.push(id);
        }
        log.push(lying);
    }
    (log, in_force)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever comes to lie in whatever order, nobody finds a gap or a fork, and each writer in force keeps all that it
    /// wrote, whoever wrote before it.
    #[test]
    fn records_of_writers_that_were_superseded_count_for_nothing(
        choices in prop::collection::vec(any::<u8>(), 0..200),
        stops in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let (log, in_force) = written(&choices);
        let positions = log.iter().filter_map(|lying| match lying {
            Lying::Event { id, position, .. } if in_force.contains(id) => Some(*position),
            _ => None,
        });
        prop_assert!(positions.eq(0..in_force.len() as u64), "contiguous");
        // A reader that is stopped anywhere, and goes on from its checkpoint.
        let mut stops: Vec<_> = stops.iter().map(|stop| stop.index(log.len() + 1)).collect();
        stops.push(log.len());
        stops.sort_unstable();
        let (mut reached, mut applied) = (Reached::default(), Vec::new());
        for stop in stops {
            let mut sequence = Sequence::resume(reached);
            for (offset, lying) in log.iter().enumerate().take(stop).skip(reached.offset as usize) {
                let verdict = read(&mut sequence, *lying, offset as i64);
                if let (Verdict::Apply, Lying::Event { id, .. }) = (verdict, lying) {
                    applied.push(*id);
                }
            }
            reached = sequence.reached();
        }
        prop_assert_eq!(applied, in_force);
    }

    #[test]
    fn an_event_gets_its_epoch_and_its_link_when_it_is_sent(
        mut envelope in sealable(),
        epoch in 1..=envelope::EPOCH_MAX,
    ) {
        let previous_id = envelope.previous_id.take();
        envelope.writer_epoch = 0;
        let sealed = seal(&envelope).unwrap();
        let sent = as_sent(&sealed, epoch, previous_id).unwrap();
        (envelope.writer_epoch, envelope.previous_id) = (epoch, previous_id);
        prop_assert_eq!(&sent, &seal(&envelope).unwrap());
        prop_assert_eq!(as_sent(&sent, epoch, previous_id), None, "only once");
        prop_assert_eq!(as_sent(&sealed[1..], epoch, previous_id), None);
    }
}
