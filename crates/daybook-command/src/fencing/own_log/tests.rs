//! A log whose beginning is gone begins with any record.

use std::borrow::Cow;

use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::{self, Envelope, Source};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::*;
use crate::testing::{broker, write_raw};

const TOPIC: &str = "toys.events";
const SERVICE: &str = "toys";
/// Far above those of the records.
const OWN_EPOCH: u32 = 100;

/// A record: the epoch of its writer, and its position if it is an event.
type Written = (u32, Option<u64>);

const fn claims(epoch: u32) -> Written {
    (epoch, None)
}

const fn event(epoch: u32, position: u64) -> Written {
    (epoch, Some(position))
}

/// Each event of each epoch has an id of its own.
fn id((epoch, position): Written) -> Uuid {
    Uuid::from_u128(u128::from(epoch) << 64 | u128::from(position.unwrap_or(u64::MAX)))
}

fn sealed(record: Written) -> Vec<u8> {
    let source = Source { service: SERVICE.into(), partition: 0 };
    let (epoch, position) = record;
    let Some(position) = position else {
        let writer = Writer {
            instance: id(record),
            host: "a host".to_owned(),
            claimed_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        return claim::seal(&Claim { id: id(record), source, epoch, writer }).unwrap();
    };
    let event = Envelope {
        writer_epoch: epoch,
        previous_id: None,
        id: id(record),
        source,
        event_type: "toy".into(),
        subject: Uuid::nil(),
        time: Timestamp::UNIX_EPOCH,
        position,
        aggregate_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        traceparent: None,
        data: Cow::Owned(RawValue::from_string("{}".to_owned()).unwrap()),
    };
    envelope::seal(&event).unwrap()
}

/// What is found out about a partition of which these records are left.
fn read(records: &[Written]) -> Result<OwnPartition, CompareError> {
    let broker = broker();
    let values: Vec<_> = records.iter().map(|record| sealed(*record)).collect();
    let values: Vec<_> = values.iter().map(|value| (0, value.as_slice())).collect();
    write_raw(&broker.kafka(""), TOPIC, &values);
    let own = OwnTopic {
        kafka: broker.kafka(""),
        topic: TOPIC,
        service: SERVICE,
        partitions: 1,
        dir: "d".to_owned(),
        set_aside: Arc::default(),
    };
    let partition = OwnPartition::new(PartitionState::without_front(TOPIC.into(), 0, SERVICE, 0));
    let partitions = vec![Ok(partition)];
    let mut log = OwnLog { partitions, diverged: BTreeMap::new(), records: 0, own_epoch: OWN_EPOCH };
    log.read_to(&own, &[Some(records.len() as i64)], &Patience::of_a_start())?;
    log.refuse_diverged()?;
    Ok(log.partitions.remove(0).unwrap())
}

#[test]
fn a_log_without_its_beginning_ends_with_the_last_event_in_force_whatever_it_begins_with() {
    let (first, last) = (event(1, 7), event(2, 9));
    let left: [&[Written]; 8] = [
        // As usual.
        &[event(2, 8), last],
        &[event(1, 8), claims(2), last],
        &[claims(2), event(2, 8), last],
        // What a writer that was shut out still sent.
        &[first, event(2, 8), last],
        &[first, event(1, 8), last],
        &[event(1, 12), last, event(1, 13)],
        &[claims(2), first, event(2, 8), last],
        &[claims(2), event(1, 12), event(1, 13), last],
    ];
    for records in left {
        let found = read(records).unwrap_or_else(|error| panic!("{records:?}: {error}"));
        assert_eq!(found.tail(), Some(Tail { position: 9, id: id(last) }), "{records:?}");
        assert_eq!((found.state.sequence().epoch(), found.own_end), (2, 10), "{records:?}");
    }
}

#[test]
fn what_is_in_force_in_it_has_no_gap_all_the_same() {
    let gaps: [&[Written]; 3] = [
        &[event(1, 7), event(1, 9)],
        &[event(1, 7), event(2, 8), event(2, 10)],
        &[event(1, 7), claims(2), event(2, 8), claims(3), event(3, 12)],
    ];
    for records in gaps {
        let refused = read(records).unwrap_err().to_string();
        assert!(refused.contains("gap"), "{records:?}: {refused}");
    }
}
