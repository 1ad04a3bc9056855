//! Reading from Apache Kafka: what only a real log does.

use std::time::Instant;

use daybook_kafka::testing::{self, ForeignTransaction};
use daybook_kafka::topics::{self, TopicSpec, TopicWatch, Watermarks};
use daybook_kafka::{Kafka, LogError, Outgoing, Reader, Span, read_spans};
use futures_executor::block_on;
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka_topics::admin;
use crate::support::{
    DEADLINE, Seen, batch_error, batches_to_ends, next, outgoing, read_error, read_to_ends, real_kafka,
    records_of, soon_unknown, start, write, writer,
};

const SPEC: TopicSpec = TopicSpec { partitions: 2, replication_factor: 1 };

fn kafka_with(topic: &str, values: &[&str]) -> Kafka {
    let kafka = real_kafka();
    topics::ensure(&kafka, topic, &SPEC).unwrap();
    write(&kafka, topic, 1, values);
    kafka
}

fn delete_records_before(kafka: &Kafka, topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&kafka.topic_name(topic), partition, Offset::Offset(offset)).unwrap();
    block_on(admin(kafka).delete_records(&list, &AdminOptions::new())).unwrap();
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn what_was_written_is_read_and_followed() {
    let kafka = kafka_with("users", &["0", "1", "2"]);
    let starts = [start("users", 0, 0), start("users", 1, 1)];
    let reader = Reader::open(&kafka, &starts).unwrap();
    let seen = read_to_ends(&reader, 2);
    assert_eq!(records_of(&seen, 1), [(1, "1".to_owned()), (2, "2".to_owned())]);
    write(&kafka, "users", 0, &["new"]);
    assert_eq!(next(&reader), Seen::Record { source: 0, offset: 0, value: "new".to_owned() });
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_truncated_log_stops_the_reader_and_says_what_is_left() {
    let kafka = kafka_with("users", &["0", "1", "2", "3"]);
    delete_records_before(&kafka, "users", 1, 3);
    assert_eq!(testing::watermarks(&kafka, "users", 1).unwrap(), Watermarks { low: 3, high: 4 });
    let reader = Reader::open(&kafka, &[start("users", 1, 0)]).unwrap();
    let error = read_error(&reader);
    let LogError::OffsetOutOfRange { partition: 1, offset: 0, held: Some((3, 4)), .. } = &error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("it holds offsets 3 to 3"), "{error}");
    let error = batch_error(&Reader::open(&kafka, &[start("users", 1, 0)]).unwrap());
    assert!(matches!(error, LogError::OffsetOutOfRange { offset: 0, held: Some((3, 4)), .. }), "{error}");
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_topic_created_anew_stops_the_reader_that_was_further() {
    let kafka = kafka_with("users", &["0"]);
    let reader = Reader::open(&kafka, &[start("users", 1, 7)]).unwrap();
    let error = read_error(&reader);
    assert!(matches!(error, LogError::OffsetOutOfRange { offset: 7, held: Some((0, 1)), .. }), "{error}");
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn a_topic_deleted_while_it_is_followed_stops_the_reader() {
    let mut kafka = kafka_with("users", &["0"]);
    kafka.options.push(soon_unknown());
    let reader = Reader::open(&kafka, &[start("users", 1, 1)]).unwrap();
    assert_eq!(next(&reader), Seen::End { source: 0 });
    let full_name = kafka.topic_name("users");
    block_on(admin(&kafka).delete_topics(&[&full_name], &AdminOptions::new())).unwrap();
    let error = read_error(&reader);
    assert!(
        matches!(error, LogError::NoSuchPartition { partition: 1, .. } | LogError::OffsetOutOfRange { .. }),
        "{error}"
    );
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn the_tail_record_comes_with_key_and_headers() {
    let kafka = kafka_with("users", &["first"]);
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/cloudevents+json; charset=UTF-8")];
    let (writer, _deliveries) = writer(&kafka);
    writer.send(Outgoing { headers: &headers, ..outgoing("users", 1, b"last", 0) }).unwrap();
    writer.flush(DEADLINE).unwrap();
    let tail = testing::tail_record(&kafka, "users", 1).unwrap().unwrap();
    assert_eq!((tail.offset, tail.key, tail.value), (1, Some(b"key".to_vec()), Some(b"last".to_vec())));
    assert_eq!(tail.headers, [(headers[0].0.to_owned(), headers[0].1.to_vec())]);
    assert_eq!(testing::tail_record(&kafka, "users", 0).unwrap(), None);
}

/// Kafka answers before a transaction's mark lies in the log.
fn wait_for_end(kafka: &Kafka, end: i64) {
    let watcher = TopicWatch::open(kafka).unwrap();
    let began = Instant::now();
    while watcher.held(&[("users", 1)]).unwrap()[0].as_ref().unwrap().high < end {
        assert!(began.elapsed() < DEADLINE, "the log does not reach offset {end}");
    }
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn the_tail_record_is_found_before_a_foreign_transactions_marks() {
    let kafka = kafka_with("users", &["0"]);
    let foreign = ForeignTransaction::begin(&kafka, &kafka.topic_name("users")).unwrap();
    foreign.write("users", 1, b"k", b"kept").unwrap();
    foreign.commit().unwrap();
    for _ in 0..2 {
        foreign.write("users", 1, b"k", b"dropped").unwrap();
        foreign.abort().unwrap();
    }
    wait_for_end(&kafka, 7);
    let tail = testing::tail_record(&kafka, "users", 1).unwrap().unwrap();
    assert_eq!((tail.offset, tail.value), (5, Some(b"dropped".to_vec())));
    let reader = Reader::open(&kafka, &[start("users", 1, 0)]).unwrap();
    let seen = batches_to_ends(&reader, 1);
    let dropped = |offset| (offset, "dropped".to_owned());
    assert_eq!(records_of(&seen, 0), [(0, "0".to_owned()), (1, "kept".to_owned()), dropped(3), dropped(5)]);
    assert_eq!(reader.next_offset(0), 7, "behind the last mark");
    // A span that ends with marks has been read all the same.
    let spans = [Span { start: start("users", 1, 6), end: 7 }];
    read_spans::<LogError>(&kafka, &spans, DEADLINE, |_| panic!("there is no record")).unwrap();
}

#[test]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
fn another_programs_open_transaction_hides_nothing() {
    let kafka = kafka_with("users", &["0"]);
    let foreign = ForeignTransaction::begin(&kafka, &kafka.topic_name("users")).unwrap();
    foreign.write("users", 1, b"k", b"foreign").unwrap();
    write(&kafka, "users", 1, &["2"]);
    assert_eq!(testing::watermarks(&kafka, "users", 1).unwrap(), Watermarks { low: 0, high: 3 });
    let reader = Reader::open(&kafka, &[start("users", 1, 0)]).unwrap();
    let seen = read_to_ends(&reader, 1);
    let all = ["0", "foreign", "2"].map(str::to_owned);
    assert_eq!(records_of(&seen, 0), (0..).zip(all).collect::<Vec<_>>());
    assert_eq!(testing::tail_record(&kafka, "users", 1).unwrap().unwrap().offset, 2);
    let found = topics::records_at(&kafka, &[start("users", 1, 2)], &|| false).unwrap();
    assert_eq!(found[0].as_ref().and_then(|record| record.value.as_deref()), Some(&b"2"[..]));
    foreign.abort().unwrap();
}
