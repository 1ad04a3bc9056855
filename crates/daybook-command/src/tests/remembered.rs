//! What is kept under an idempotency key: its bytes are a format.

use daybook_event::problem::Problem;
use uuid::Uuid;

use super::random::{seeds, try_many};
use crate::command::{Accepted, DependsOn, Outcome, Written};
use crate::commit::idempotency::{Fingerprint, Remembered};
use crate::fuzz_checks;

const SEEDS: &str = "fuzz/seeds/remembered";
const HASH: [u8; 16] = *b"sixteen in bytes";

fn everything() -> Outcome {
    Outcome::Accepted(Accepted {
        version: 300,
        created: Some(Uuid::from_bytes(*b"an aggregate's i")),
        state: Some(br#"{"coats":0}"#.to_vec()),
        written: vec![Written { partition: 3, position: 128 }, Written { partition: 0, position: u64::MAX }],
        depends_on: vec![DependsOn { table: 1, at: Written { partition: 5, position: 2 } }],
        stands_at: None,
    })
}

fn nothing() -> Outcome {
    Outcome::Accepted(Accepted {
        version: 2,
        created: None,
        state: None,
        written: Vec::new(),
        depends_on: Vec::new(),
        stands_at: None,
    })
}

fn unchanged() -> Outcome {
    let Outcome::Accepted(nothing) = nothing() else { panic!("it was accepted") };
    Outcome::Accepted(Accepted { stands_at: Some(Written { partition: 3, position: 128 }), ..nothing })
}

fn rejected() -> Outcome {
    let taken = Problem::new(409, "name-taken", "Name taken", "take another");
    Outcome::Rejected(taken.with("version", 7).with("field", "name"))
}

/// Whoever changes these bytes gives them another number, and goes on reading the old ones.
#[test]
fn a_record_is_written_as_published() {
    let head = |kind: u8| [&HASH[..], &[0, 0, 0, 0, 0, 0, 1, 2, 2, kind]].concat();
    let everything_bytes = [
        &head(1)[..],
        b"\x01\x03\xac\x02an aggregate's i\x0b{\"coats\":0}",
        b"\x02\x03\x80\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x01\x01\x05\x02",
    ]
    .concat();
    let rejected_bytes = [
        &head(0)[..],
        b"\x02\x99\x03\x0aname-taken\x0aName taken\x0ctake another",
        b"\x1c{\"field\":\"name\",\"version\":7}",
    ]
    .concat();
    for (fingerprint, outcome, bytes) in [
        (Fingerprint::OfValue(HASH), everything(), everything_bytes),
        (Fingerprint::OfValue(HASH), nothing(), [&head(1)[..], b"\x01\x00\x02\x00\x00"].concat()),
        (
            Fingerprint::OfValue(HASH),
            unchanged(),
            [&head(1)[..], b"\x01\x04\x02\x00\x00\x03\x80\x01"].concat(),
        ),
        (Fingerprint::OfBytes(HASH), rejected(), rejected_bytes),
    ] {
        let written = Remembered::encode(fingerprint, 0x102, &outcome);
        assert_eq!(written.escape_ascii().to_string(), bytes.escape_ascii().to_string());
        assert_eq!(Remembered::decode(&bytes), Ok(Remembered { fingerprint, expires_ms: 0x102, outcome }));
    }
}

#[test]
fn a_record_that_was_cut_or_is_no_record_is_refused_by_name() {
    for outcome in [everything(), nothing(), unchanged(), rejected()] {
        let whole = Remembered::encode(Fingerprint::OfValue(HASH), 1, &outcome);
        let longer = [&whole[..], b"\0"].concat();
        let cut = (0..whole.len()).map(|end| &whole[..end]);
        for bytes in cut.chain([&longer[..]]) {
            let refused = Remembered::decode(bytes).unwrap_err().to_string();
            assert!(refused.contains("idempotency record") && refused.contains("--recover"), "{refused}");
        }
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = Remembered::encode(Fingerprint::OfValue(HASH), 1, &nothing());
        bytes[at] = byte;
        Remembered::decode(&bytes)
    };
    // A partition that no topic has; a number in more digits than it needs, and one in more than 64 bits.
    let number_of_65_bits = [&b"\x01\x00"[..], &[0xff; 9], b"\x02\x00\x00"].concat();
    for accepted in [
        &b"\x01\x00\x02\x01\x80\x80\x80\x80\x08\x00\x00"[..],
        b"\x01\x00\x82\x00\x00\x00",
        &number_of_65_bits,
    ] {
        let bytes = [&HASH[..], &[0; 8], &[2, 1], accepted].concat();
        assert!(Remembered::decode(&bytes).is_err(), "{}", accepted.escape_ascii());
    }
    // Another format, another kind of fingerprint, another outcome, another flag.
    assert!(with(24, 3).is_err() && with(25, 2).is_err() && with(26, 3).is_err() && with(27, 8).is_err());
}

#[test]
fn any_bytes_are_a_record_or_refused() {
    try_many(seeds(SEEDS), fuzz_checks::remembered);
}

#[test]
fn every_seed_is_a_record() {
    assert!(seeds(SEEDS).iter().all(|seed| Remembered::decode(seed).is_ok()));
}
