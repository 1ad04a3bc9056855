//! Reading many records at once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use daybook_kafka::{BatchItem, FetchAhead, LogError, Reader};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::{
    DEADLINE, Seen, batch_error, batches_to_ends, embedded, next, records_of, see, soon_unknown, start, write,
};

/// At most as many are visited in one call.
const BATCH: usize = 1_000;

fn numbered(broker: &crate::support::Embedded, topic: &str, partition: i32, records: usize) {
    let values: Vec<String> = (0..records).map(|number| format!("{topic}/{partition}/{number}")).collect();
    write(&broker.kafka, topic, partition, &values.iter().map(String::as_str).collect::<Vec<_>>());
}

fn expected(topic: &str, partition: i32, offsets: std::ops::Range<usize>) -> Vec<(i64, String)> {
    offsets.map(|number| (number as i64, format!("{topic}/{partition}/{number}"))).collect()
}

#[test]
fn batches_give_every_record_once_and_in_order_and_then_the_end() {
    let broker = embedded(&[("users", 3), ("orders", 2)]);
    let sources =
        [("users", 0, BATCH), ("users", 1, BATCH + 1), ("orders", 0, 0), ("orders", 1, 2 * BATCH + 500)];
    for (topic, partition, records) in sources {
        numbered(&broker, topic, partition, records);
    }
    let starts = sources.map(|(topic, partition, _)| start(topic, partition, 0));
    let little = FetchAhead { bytes_max: 0 };
    for reader in [Reader::open(&broker.kafka, &starts), Reader::open_with(&broker.kafka, &starts, little)] {
        let seen = batches_to_ends(&reader.unwrap(), sources.len());
        for (source, (topic, partition, records)) in sources.into_iter().enumerate() {
            assert!(
                records_of(&seen, source) == expected(topic, partition, 0..records),
                "{topic} {partition}"
            );
            let end = seen.iter().position(|seen| *seen == Seen::End { source }).unwrap();
            let before = records_of(&seen[..end], source).len();
            assert_eq!(before, records, "{topic} {partition} ended early");
        }
    }
}

#[test]
fn a_batch_is_bounded_and_of_one_partition() {
    let broker = embedded(&[("users", 2)]);
    numbered(&broker, "users", 0, 3 * BATCH);
    numbered(&broker, "users", 1, 3 * BATCH);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0), start("users", 1, 0)]).unwrap();
    let mut left = 6 * BATCH;
    while left > 0 {
        let mut seen = Vec::new();
        reader
            .poll_batch::<LogError>(DEADLINE, |item| {
                seen.push(see(item));
                Ok(())
            })
            .unwrap();
        let records = [0, 1].map(|source| records_of(&seen, source).len());
        assert!(seen.len() <= BATCH && records.contains(&0), "{records:?}");
        left -= records[0] + records[1];
    }
}

#[test]
fn what_a_visit_refuses_to_go_on_with_comes_next_time() {
    #[derive(Debug)]
    struct Enough;
    impl From<LogError> for Enough {
        fn from(error: LogError) -> Enough {
            panic!("{error}")
        }
    }
    let broker = embedded(&[("users", 1)]);
    numbered(&broker, "users", 0, BATCH + 10);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 3)]).unwrap();
    let mut seen = Vec::new();
    let stopped = reader.poll_batch(DEADLINE, |item| {
        seen.push(see(item));
        if seen.len() < 5 { Ok(()) } else { Err(Enough) }
    });
    assert!(matches!(stopped, Err(Enough)) && seen.len() == 5);
    // The two ways of reading share the place at which they are.
    seen.push(next(&reader));
    seen.extend(batches_to_ends(&reader, 1));
    assert_eq!(records_of(&seen, 0), expected("users", 0, 3..BATCH + 10));
}

#[test]
fn a_panic_of_a_visit_gets_out_and_the_reader_goes_on() {
    let broker = embedded(&[("users", 1)]);
    numbered(&broker, "users", 0, 10);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0)]).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        reader.poll_batch::<LogError>(DEADLINE, |_| panic!("on purpose")).unwrap();
    }));
    assert!(panicked.is_err());
    let seen = batches_to_ends(&reader, 1);
    assert_eq!(records_of(&seen, 0), expected("users", 0, 1..10));
}

#[test]
fn null_values_empty_values_and_headers_are_told_apart() {
    let broker = embedded(&[("users", 1)]);
    let named =
        OwnedHeaders::new()
            .insert(Header { key: "type", value: Some("gone") })
            .insert(Header::<&str> { key: "nothing", value: None });
    let name = broker.kafka.topic_name("users");
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &broker.kafka.brokers).create().unwrap();
    producer.send(BaseRecord::<str, str>::to(&name).partition(0).key("k").headers(named)).unwrap();
    producer.send(BaseRecord::<str, str>::to(&name).partition(0).payload("")).unwrap();
    producer.flush(DEADLINE).unwrap();
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0)]).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let visit = |item: BatchItem<'_>| {
            if let BatchItem::Record(record) = item {
                seen.push((record.value().map(<[u8]>::to_vec), record.headers()));
            }
            Ok(())
        };
        reader.poll_batch::<LogError>(DEADLINE, visit).unwrap();
    }
    let headers = vec![("type".to_owned(), b"gone".to_vec()), ("nothing".to_owned(), Vec::new())];
    assert_eq!(seen, [(None, headers), (Some(Vec::new()), Vec::new())]);
}

#[test]
fn batches_meet_the_same_errors() {
    let mut broker = embedded(&[("users", 2)]);
    broker.kafka.options.push(soon_unknown());
    numbered(&broker, "users", 1, 2);
    let past_the_end = Reader::open(&broker.kafka, &[start("users", 1, 5)]).unwrap();
    let error = batch_error(&past_the_end);
    assert!(
        matches!(error, LogError::OffsetOutOfRange { partition: 1, offset: 5, held: Some((0, 2)), .. }),
        "{error}"
    );
    for (topic, partition) in [("nobody", 0), ("users", 7)] {
        let error = batch_error(&Reader::open(&broker.kafka, &[start(topic, partition, 0)]).unwrap());
        assert!(
            matches!(&error, LogError::NoSuchPartition { partition: at, .. } if *at == partition),
            "{error}"
        );
    }
}
