//! The log, as a reader of another program sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_event::sequence::{Sequence, Verdict};
use daybook_event::{claim, envelope};
use daybook_kafka::{Kafka, Polled, Reader, Start, topics};
use serde_json::Value;

use crate::child::PARTITIONS;

/// Users in the log: id to e-mail address. Asserts positions, and that no event is there twice under two positions.
pub(crate) fn signed_up(kafka: &Kafka) -> BTreeMap<String, String> {
    let start = |partition| Start { topic: "users.events".to_owned(), partition, offset: 0 };
    let starts: Vec<_> = (0..PARTITIONS).map(start).collect();
    let all: Vec<_> = (0..PARTITIONS).map(|partition| ("users.events", partition)).collect();
    let marks = topics::all_watermarks(kafka, &all).unwrap();
    let mut missing: i64 = marks.iter().map(|marks| marks.high).sum();
    let mut sequences: Vec<_> = starts.iter().map(|_| Sequence::default()).collect();
    let mut users = BTreeMap::new();
    let reader = Reader::open(kafka, &starts).unwrap();
    while missing > 0 {
        let Polled::Record(record) = reader.poll(Duration::from_secs(10)).unwrap() else { continue };
        missing -= 1;
        let sequence: &mut Sequence = &mut sequences[record.source()];
        if let Some(claim) = claim::open(record.value()) {
            let claim = claim.unwrap();
            sequence.pass(sequence.check_claim(claim.epoch), claim.epoch, claim.id, record.offset());
            continue;
        }
        let envelope = envelope::open(record.value(), Vec::new).unwrap();
        let (epoch, id) = (envelope.writer_epoch, envelope.id);
        let verdict = sequence.check(epoch, envelope.position, id, envelope.previous_id).unwrap();
        sequence.pass(verdict, epoch, id, record.offset());
        if verdict == Verdict::Apply {
            let data: Value = serde_json::from_str(envelope.data.get()).unwrap();
            let email = data["email"].as_str().unwrap().to_owned();
            let before = users.insert(envelope.subject.to_string(), email);
            assert_eq!(before, None, "one sign-up, two positions");
        }
    }
    users
}
