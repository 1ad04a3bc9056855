//! Writing: order, explicit partitions, deliveries, failures.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use daybook_kafka::{DeliveryError, Kafka, LogError, Reader, SendError, Writer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{DEADLINE, embedded, outgoing, read_to_ends, records_of, start, writer};

/// A mock cluster whose faults the test commands.
fn faulty() -> (MockCluster<'static, DefaultProducerContext>, Kafka) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("users", 2, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    (cluster, Kafka { brokers, options: Vec::new(), topic_prefix: String::new(), embedded: true })
}

fn nowhere(options: &[(&str, &str)]) -> Kafka {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Kafka { brokers: "127.0.0.1:1".to_owned(), options, topic_prefix: String::new(), embedded: false }
}

#[test]
fn deliveries_come_in_order_of_sending_within_each_partition() {
    const RECORDS: u64 = 3_000;
    let broker = embedded(&[("users", 3)]);
    let (writer, deliveries) = writer(&broker.kafka);
    for tag in 0..RECORDS {
        let value = tag.to_string();
        let partition = i32::try_from(tag % 3).unwrap();
        writer.send(outgoing("users", partition, value.as_bytes(), tag)).unwrap();
    }
    writer.flush(DEADLINE).unwrap();
    let mut next_offsets: HashMap<i32, i64> = HashMap::new();
    let mut reported = 0;
    for delivered in deliveries.try_iter() {
        assert_eq!(delivered.topic, "users");
        let next_offset = next_offsets.entry(delivered.partition).or_default();
        assert_eq!(delivered.result.unwrap(), *next_offset);
        assert_eq!(
            delivered.tag,
            u64::try_from(*next_offset).unwrap() * 3 + u64::try_from(delivered.partition).unwrap()
        );
        *next_offset += 1;
        reported += 1;
    }
    assert_eq!(reported, RECORDS);
}

#[test]
fn records_lie_in_the_partition_they_were_sent_to_in_order() {
    let broker = embedded(&[("users", 2)]);
    let (writer, _deliveries) = writer(&broker.kafka);
    for (tag, value) in ["a", "b", "c", "d"].iter().enumerate() {
        // One key, both partitions: the partition is the caller's choice.
        writer.send(outgoing("users", i32::from(tag >= 3), value.as_bytes(), 0)).unwrap();
    }
    writer.flush(DEADLINE).unwrap();
    let reader = Reader::open(&broker.kafka, &[start("users", 0, 0), start("users", 1, 0)]).unwrap();
    let seen = read_to_ends(&reader, 2);
    let expected = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())];
    assert_eq!(records_of(&seen, 0), expected);
    assert_eq!(records_of(&seen, 1), [(0, "d".to_owned())]);
}

#[test]
fn passing_faults_neither_lose_nor_reorder_nor_repeat() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR__TRANSPORT as CUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as FEW,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as MOVED,
    };
    const RECORDS: i64 = 500;
    let (cluster, mut kafka) = faulty();
    // Many small batches under way at once: without idempotence a refused one would come after its successors.
    kafka.options.push(("batch.num.messages".to_owned(), "10".to_owned()));
    cluster.request_errors(RDKafkaApiKey::Produce, &[CUT, MOVED, FEW, CUT, MOVED]);
    let (writer, deliveries) = writer(&kafka);
    for tag in 0..RECORDS {
        let tag = tag.unsigned_abs();
        writer.send(outgoing("users", 0, tag.to_string().as_bytes(), tag)).unwrap();
    }
    writer.flush(DEADLINE).unwrap();
    let delivered: Vec<u64> = deliveries.try_iter().map(|delivered| delivered.tag).collect();
    assert_eq!(delivered, (0..RECORDS.unsigned_abs()).collect::<Vec<_>>());
    let reader = Reader::open(&kafka, &[start("users", 0, 0)]).unwrap();
    let expected: Vec<(i64, String)> = (0..RECORDS).map(|offset| (offset, offset.to_string())).collect();
    assert_eq!(records_of(&read_to_ends(&reader, 1), 0), expected);
}

#[test]
fn an_outage_is_waited_for() {
    let (cluster, kafka) = faulty();
    let (writer, deliveries) = writer(&kafka);
    writer.send(outgoing("users", 0, b"before", 0)).unwrap();
    writer.flush(DEADLINE).unwrap();
    cluster.broker_down(1).unwrap();
    writer.send(outgoing("users", 0, b"during", 1)).unwrap();
    let unflushed = writer.flush(Duration::from_millis(50));
    assert!(matches!(unflushed, Err(LogError::FlushTimeout { outstanding: 1, .. })), "{unflushed:?}");
    cluster.broker_up(1).unwrap();
    writer.flush(DEADLINE).unwrap();
    let offsets: Vec<i64> = deliveries.try_iter().map(|delivered| delivered.result.unwrap()).collect();
    assert_eq!(offsets, [0, 1]);
    assert_eq!(writer.fatal_error(), None);
}

#[test]
fn after_a_record_is_refused_the_writer_takes_no_more_and_says_why() {
    let (cluster, kafka) = faulty();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED],
    );
    let (writer, deliveries) = writer(&kafka);
    writer.send(outgoing("users", 0, b"refused", 0)).unwrap();
    writer.flush(DEADLINE).unwrap();
    let delivered = deliveries.try_iter().next().unwrap();
    assert!(matches!(delivered.result, Err(DeliveryError::Failed { .. })), "{delivered:?}");
    assert!(wait_fatal(&writer).contains("uthoriz"));
    let refused = writer.send(outgoing("users", 0, b"after", 1));
    assert!(matches!(refused, Err(SendError::Fatal { .. })), "{refused:?}");
    writer.flush(DEADLINE).unwrap();
}

fn wait_fatal(writer: &Writer) -> String {
    let began = Instant::now();
    loop {
        if let Some(reason) = writer.fatal_error() {
            return reason;
        }
        assert!(began.elapsed() < DEADLINE, "no fatal error");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_queue_says_so_and_takes_more_later() {
    let (writer, deliveries) = writer(&nowhere(&[("queue.buffering.max.messages", "3")]));
    for tag in 0..3 {
        writer.send(outgoing("users", 0, b"x", tag)).unwrap();
    }
    assert!(matches!(writer.send(outgoing("users", 0, b"x", 3)), Err(SendError::QueueFull)));
    drop(writer);
    assert_eq!(deliveries.try_iter().count(), 3, "nothing is reported for the record that was not taken");
}

#[test]
fn closing_reports_what_was_not_acknowledged() {
    let (writer, deliveries) = writer(&nowhere(&[]));
    writer.send(outgoing("users", 0, b"x", 9)).unwrap();
    drop(writer);
    let delivered: Vec<_> = deliveries.try_iter().collect();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].tag, 9);
    assert!(matches!(delivered[0].result, Err(DeliveryError::GivenUp)), "{delivered:?}");
}

#[test]
fn a_record_too_large_is_refused_at_once() {
    let (writer, _deliveries) = writer(&nowhere(&[]));
    let value = vec![b'x'; 2_000_000];
    let refused = writer.send(outgoing("users", 0, &value, 0));
    assert!(matches!(refused, Err(SendError::TooLarge { bytes: 2_000_003 })), "{refused:?}");
    writer.flush(DEADLINE).unwrap();
}

#[test]
fn settings_that_librdkafka_refuses_are_an_error() {
    let refused = Writer::open(&nowhere(&[("linger.ms", "soon")]), |_| ()).map(|_| ());
    let Err(error @ LogError::Settings { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("linger.ms"), "{error}");
}
