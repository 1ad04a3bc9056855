//! Reading: order, starts, ends, following.

use std::time::Duration;

use daybook_kafka::topics::{TopicError, records_at};
use daybook_kafka::{LogError, Polled, Reader, Span, read_spans};

use crate::support::{
    DEADLINE, Seen, embedded, next, outgoing, read_error, read_to_ends, records_of, soon_unknown, start,
    write, writer,
};

#[test]
fn ends_name_the_source_even_where_topics_share_partition_numbers() {
    let broker = embedded(&[("users", 2), ("orders", 2)]);
    write(&broker.kafka, "users", 1, &["u0", "u1"]);
    write(&broker.kafka, "orders", 1, &["o0"]);
    let starts = [start("users", 1, 0), start("orders", 1, 0), start("orders", 0, 0)];
    let reader = Reader::open(&broker.kafka, &starts).unwrap();
    let seen = read_to_ends(&reader, 3);
    assert_eq!(records_of(&seen, 0), [(0, "u0".to_owned()), (1, "u1".to_owned())]);
    assert_eq!(records_of(&seen, 1), [(0, "o0".to_owned())]);
    assert_eq!(records_of(&seen, 2), []);
    for source in 0..3 {
        let last_record =
            seen.iter().rposition(|seen| matches!(seen, Seen::Record { source: s, .. } if *s == source));
        let end = seen.iter().position(|seen| *seen == Seen::End { source });
        assert!(last_record < end, "the end of source {source} comes after its records: {seen:?}");
    }
}

#[test]
fn a_record_says_where_it_comes_from_and_what_it_holds() {
    let broker = embedded(&[("users", 3)]);
    let (writer, _deliveries) = writer(&broker.kafka);
    let headers: [(&str, &[u8]); 2] = [("content-type", b"text/plain"), ("empty", b"")];
    let record = daybook_kafka::Outgoing { headers: &headers, ..outgoing("users", 2, b"value", 7) };
    writer.send(record).unwrap();
    writer.flush(DEADLINE).unwrap();
    let reader = Reader::open(&broker.kafka, &[start("users", 2, 0)]).unwrap();
    loop {
        let Polled::Record(record) = reader.poll(DEADLINE).unwrap() else { continue };
        assert_eq!(
            (record.source(), record.topic(), record.partition(), record.offset()),
            (0, "users", 2, 0)
        );
        assert_eq!(record.key(), Some(&b"key"[..]));
        assert_eq!(record.value(), Some(&b"value"[..]));
        let expected =
            [("content-type".to_owned(), b"text/plain".to_vec()), ("empty".to_owned(), Vec::new())];
        assert_eq!(record.headers(), expected);
        break;
    }
}

#[test]
fn reading_begins_at_the_start_offset_and_follows_what_comes() {
    let broker = embedded(&[("users", 1)]);
    write(&broker.kafka, "users", 0, &["0", "1", "2"]);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 2)]).unwrap();
    let seen = read_to_ends(&reader, 1);
    assert_eq!(records_of(&seen, 0), [(2, "2".to_owned())]);
    write(&broker.kafka, "users", 0, &["3"]);
    assert_eq!(next(&reader), Seen::Record { source: 0, offset: 3, value: "3".to_owned() });
    assert_eq!(next(&reader), Seen::End { source: 0 });
}

#[test]
fn the_end_offset_is_a_start() {
    let broker = embedded(&[("users", 1)]);
    write(&broker.kafka, "users", 0, &["0"]);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 1)]).unwrap();
    assert_eq!(next(&reader), Seen::End { source: 0 });
    write(&broker.kafka, "users", 0, &["1"]);
    assert_eq!(next(&reader), Seen::Record { source: 0, offset: 1, value: "1".to_owned() });
}

#[test]
fn a_long_partition_does_not_stall() {
    let broker = embedded(&[("users", 2)]);
    let values: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    write(&broker.kafka, "users", 0, &values);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0)]).unwrap();
    for offset in 0..5_000 {
        // A stall would last until the deadline and then be `Nothing`.
        match reader.poll(DEADLINE).unwrap() {
            Polled::Record(record) => assert_eq!(record.offset(), offset),
            Polled::End { .. } => panic!("end before offset {offset}"),
            Polled::Nothing => panic!("stalled before offset {offset}"),
        }
    }
}

#[test]
fn long_partitions_come_whole_and_in_order() {
    let broker = embedded(&[("users", 2)]);
    let values = vec!["x"; 4_000];
    write(&broker.kafka, "users", 0, &values);
    write(&broker.kafka, "users", 1, &values);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0), start("users", 1, 0)]).unwrap();
    let seen = read_to_ends(&reader, 2);
    for source in 0..2 {
        let offsets: Vec<i64> = records_of(&seen, source).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, (0..4_000).collect::<Vec<_>>());
    }
}

#[test]
fn an_offset_past_the_end_is_an_error_that_names_everything() {
    let broker = embedded(&[("users", 2)]);
    write(&broker.kafka, "users", 1, &["0", "1"]);
    let reader = Reader::open(&broker.kafka, &[start("users", 1, 5)]).unwrap();
    let error = read_error(&reader);
    let LogError::OffsetOutOfRange { topic, partition, offset, held } = &error else { panic!("{error}") };
    assert_eq!((topic.as_str(), *partition, *offset, *held), ("test.users", 1, 5, Some((0, 2))));
    let sentence = error.to_string();
    for part in ["test.users", "partition 1", "offset 5", "0 to 1", "rebuild"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn a_topic_that_is_not_there_is_an_error() {
    let mut broker = embedded(&[("users", 1)]);
    broker.kafka.options.push(soon_unknown());
    let reader = Reader::open(&broker.kafka, &[start("nobody", 0, 0)]).unwrap();
    let error = read_error(&reader);
    assert!(
        matches!(&error, LogError::NoSuchPartition { topic, partition: 0 } if topic == "test.nobody"),
        "{error}"
    );
}

#[test]
fn a_negative_start_is_refused_instead_of_meaning_the_end() {
    let broker = embedded(&[("users", 1)]);
    let refused = Reader::open(&broker.kafka, &[start("users", 0, -1)]).map(|_| ());
    assert!(matches!(refused, Err(LogError::StartNegative { offset: -1, .. })));
}

#[test]
fn dropping_a_reader_with_records_unread_ends_at_once() {
    let broker = embedded(&[("users", 1)]);
    write(&broker.kafka, "users", 0, &vec!["x"; 3_000]);
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0)]).unwrap();
    next(&reader);
    let dropping = std::thread::spawn(move || drop(reader));
    let began = std::time::Instant::now();
    while !dropping.is_finished() {
        assert!(began.elapsed() < DEADLINE, "the reader cannot be dropped");
        std::thread::yield_now();
    }
    dropping.join().unwrap();
}

/// As after an election, or in a log that has lost its end.
#[test]
fn a_partition_that_ends_before_it_was_to_be_read_is_waited_for_and_then_named() {
    let broker = embedded(&[("users", 2)]);
    write(&broker.kafka, "users", 1, &["0", "1"]);
    let spans =
        [0, 1].map(|partition| Span { start: start("users", partition, 0), end: 3 * i64::from(partition) });
    let mut seen = Vec::new();
    let silence = Duration::from_millis(700);
    let short = read_spans::<LogError>(&broker.kafka, &spans, silence, |record| {
        seen.push(record.offset());
        Ok(())
    });
    assert_eq!(seen, [0, 1]);
    let error = short.unwrap_err();
    assert!(matches!(error, LogError::EndsBefore { partition: 1, end: 2, wanted: 3, .. }), "{error}");
    // What comes meanwhile is read.
    let reading = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_spans::<LogError>(&broker.kafka, &spans, DEADLINE, |_| Ok(())));
        write(&broker.kafka, "users", 1, &["2", "beyond"]);
        reading.join().unwrap()
    });
    reading.unwrap();
}

#[test]
fn whoever_no_longer_wants_to_know_does_not_wait_for_a_broker_that_stands_still() {
    let broker = embedded(&[("users", 1)]);
    write(&broker.kafka, "users", 0, &["0"]);
    broker.broker.round_trip(1, Duration::from_secs(600)).unwrap();
    let given_up = records_at(&broker.kafka, &[start("users", 0, 0)], &|| true);
    assert!(matches!(given_up, Err(TopicError::Log(LogError::GivenUp))), "{:?}", given_up.err());
}
