//! Inspecting topics where no admin request is answered.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use daybook_kafka::embedded::EmbeddedBroker;
use daybook_kafka::topics::{self, TopicError, TopicSpec, TopicWatch, Watermarks};
use daybook_kafka::{LogError, Span, read_spans, testing};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::support::{DEADLINE, embedded, embedded_with, start, write};

const SPEC: TopicSpec = TopicSpec { partitions: 2, replication_factor: 1 };

#[test]
fn the_partition_count_is_learned() {
    let broker = embedded(&[("users", 2)]);
    assert_eq!(topics::partition_count(&broker.kafka, "users").unwrap(), Some(2));
    assert_eq!(topics::partition_count(&broker.kafka, "nobody").unwrap(), None);
    assert_eq!(topics::partition_count(&broker.kafka, "nobody").unwrap(), None, "asking creates nothing");
}

#[test]
fn watermarks_come_in_the_order_asked_for() {
    let broker = embedded(&[("users", 2), ("orders", 1)]);
    write(&broker.kafka, "users", 1, &["0", "1"]);
    write(&broker.kafka, "orders", 0, &["0"]);
    let asked = [("orders", 0), ("users", 0), ("users", 1)];
    let high = |high| Watermarks { low: 0, high };
    assert_eq!(topics::all_watermarks(&broker.kafka, &asked).unwrap(), [high(1), high(0), high(2)]);
    assert_eq!(testing::watermarks(&broker.kafka, "users", 1).unwrap(), high(2));
}

#[test]
fn a_watcher_sees_what_has_come_since() {
    let broker = embedded(&[("users", 1)]);
    let watcher = TopicWatch::open(&broker.kafka).unwrap();
    for written in 0..3 {
        let held = watcher.held(&[("users", 0)]).unwrap();
        assert_eq!(held, [Ok(Watermarks { low: 0, high: written })]);
        write(&broker.kafka, "users", 0, &["x"]);
    }
}

#[test]
fn a_watch_tells_of_other_partitions_and_not_of_a_topic_that_is_still_to_be_made() {
    let broker = embedded(&[("users", 2)]);
    let mut watch = TopicWatch::open(&broker.kafka).unwrap();
    assert_eq!(watch.check(&[("users", 2), ("orders", 2)]), []);
    let faults = watch.check(&[("users", 3)]);
    assert!(matches!(&faults[..], [TopicError::PartitionCount { expected: 3, actual: 2, .. }]), "{faults:?}");
}

#[test]
fn watermarks_of_what_is_not_there_are_an_error() {
    let broker = embedded(&[("users", 1)]);
    let missing = testing::watermarks(&broker.kafka, "nobody", 0).unwrap_err();
    assert!(matches!(&missing, TopicError::Missing { topic } if topic == "test.nobody"), "{missing}");
}

#[test]
fn the_tail_record_is_the_last_one() {
    let broker = embedded(&[("users", 2)]);
    assert_eq!(testing::tail_record(&broker.kafka, "users", 0).unwrap(), None);
    write(&broker.kafka, "users", 0, &["first", "second", "third"]);
    let tail = testing::tail_record(&broker.kafka, "users", 0).unwrap().unwrap();
    assert_eq!((tail.offset, tail.key, tail.value), (2, Some(b"key".to_vec()), Some(b"third".to_vec())));
}

#[test]
fn ensure_takes_the_topic_as_it_is_and_checks_its_partitions() {
    let broker = embedded(&[("users", 2), ("orders", 5)]);
    topics::ensure(&broker.kafka, "users", &SPEC).unwrap();
    let error = topics::ensure(&broker.kafka, "orders", &SPEC).unwrap_err();
    let TopicError::PartitionCount { topic, expected: 2, actual: 5 } = &error else { panic!("{error}") };
    assert_eq!(topic, "test.orders");
    assert!(error.to_string().contains("--partitions 5"), "{error}");
    let missing = topics::ensure(&broker.kafka, "nobody", &SPEC).unwrap_err();
    assert!(matches!(missing, TopicError::Missing { .. }), "{missing}");
}

#[test]
fn a_broker_that_is_there_is_reachable() {
    let broker = embedded(&[]);
    topics::wait_reachable(&broker.kafka, DEADLINE).unwrap();
}

const ALL: [(&str, i32); 3] = [("users", 0), ("users", 1), ("users", 2)];

#[test]
fn a_partition_without_a_leader_is_no_missing_topic() {
    let broker = embedded(&[("users", 3)]);
    broker.broker.set_leader("test.users", 1, None).unwrap();
    let held = testing::held(&broker.kafka, &ALL).unwrap();
    assert!(held[0].is_ok() && held[2].is_ok(), "{held:?}");
    let away = held[1].clone().unwrap_err();
    assert!(away.is_away() && away.to_string().contains("partition 1 has no leader"), "{away}");
    let first = topics::all_watermarks(&broker.kafka, &ALL).unwrap_err();
    assert!(first.is_away(), "{first}");

    let mut watch = TopicWatch::open(&broker.kafka).unwrap();
    assert_eq!(watch.check(&[("users", 3)]), [], "nothing is wrong with the topic");
    assert!(watch.held(&ALL).unwrap()[1].is_err());
    broker.broker.set_leader("test.users", 1, Some(1)).unwrap();
    assert!(watch.held(&ALL).unwrap()[1].is_ok(), "nothing is remembered");
}

#[test]
fn a_leader_that_was_just_elected_is_asked_until_it_knows_the_end() {
    let broker = embedded(&[("users", 3)]);
    broker.broker.hide_ends(3).unwrap();
    let held = testing::held(&broker.kafka, &ALL).unwrap();
    assert!(held.iter().all(Result::is_ok), "{held:?}");
}

#[test]
fn a_leader_that_does_not_know_its_end_for_long_hides_that_partition_only() {
    let broker = embedded(&[("users", 3)]);
    broker.broker.hide_ends(10_000).unwrap();
    let watch = TopicWatch::open(&broker.kafka).unwrap();
    let held = watch.held(&ALL[..1]).unwrap();
    let away = held[0].clone().unwrap_err();
    assert!(away.is_away() && away.to_string().contains("and says:"), "{away}");
}

/// Before anybody has noticed that it is away.
#[test]
fn a_leader_that_does_not_answer_is_named_and_costs_the_others_nothing() {
    let broker = embedded_with(2, &[("users", 3)]);
    for (partition, leader) in [(0, 1), (1, 2), (2, 2)] {
        broker.broker.set_leader("test.users", partition, Some(leader)).unwrap();
    }
    broker.broker.broker_down(2).unwrap();
    let watch = TopicWatch::open(&broker.kafka).unwrap();
    let held = watch.held(&ALL).unwrap();
    assert_eq!(held[0], Ok(Watermarks { low: 0, high: 0 }));
    for away in &held[1..] {
        let away = away.clone().unwrap_err();
        assert!(away.is_away() && away.to_string().contains("its leader, broker 2,"), "{away}");
    }
}

#[test]
fn a_partition_that_the_topic_does_not_have_is_no_partition_that_is_away() {
    let broker = embedded(&[("users", 1)]);
    let error = testing::held(&broker.kafka, &ALL[..2]).unwrap_err();
    assert!(matches!(&error, TopicError::Log(LogError::NoSuchPartition { partition: 1, .. })), "{error}");
}

/// While a broker answers for one of them.
#[test]
fn a_silent_partition_is_named_and_not_the_cluster() {
    let broker = embedded_with(2, &[("users", 2)]);
    for (partition, leader) in [(0, 1), (1, 2)] {
        broker.broker.set_leader("test.users", partition, Some(leader)).unwrap();
        write(&broker.kafka, "users", partition, &["x"]);
    }
    broker.broker.broker_down(2).unwrap();
    let spans = [0, 1].map(|partition| Span { start: start("users", partition, 0), end: 1 });
    let silence = std::time::Duration::from_millis(700);
    let silent = read_spans::<LogError>(&broker.kafka, &spans, silence, |_| Ok(())).unwrap_err();
    assert!(matches!(&silent, LogError::Silent { partition: 1, .. }), "{silent}");
    assert!(silent.may_pass(), "{silent}");
}

#[test]
fn nobody_gets_the_port_of_a_broker_that_is_down() {
    let broker = EmbeddedBroker::start_with(2).unwrap();
    let second = broker.bootstrap().split(',').nth(1).unwrap().parse::<SocketAddr>().unwrap();
    broker.broker_down(2).unwrap();
    let another = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    assert_eq!(rustix::net::bind(&another, &second).unwrap_err(), Errno::ADDRINUSE);
    assert_eq!(TcpStream::connect(second).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    broker.broker_up(2).unwrap();
    TcpStream::connect(second).unwrap();
}
