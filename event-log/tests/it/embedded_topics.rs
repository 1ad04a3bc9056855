//! Inspecting topics where no admin request is answered.

use event_log::topics::{self, TopicError, TopicSpec, TopicWatch, Watermarks};

use crate::support::{DEADLINE, embedded, write};

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
    assert_eq!(topics::watermarks(&broker.kafka, "users", 1).unwrap(), high(2));
}

#[test]
fn a_watcher_sees_what_has_come_since() {
    let broker = embedded(&[("users", 1)]);
    let watcher = TopicWatch::open(&broker.kafka).unwrap();
    for written in 0..3 {
        let held = watcher.all_watermarks(&[("users", 0)]).unwrap();
        assert_eq!(held, [Watermarks { low: 0, high: written }]);
        write(&broker.kafka, "users", 0, &["x"]);
    }
}

#[test]
fn a_watch_tells_of_other_partitions_and_not_of_a_topic_that_is_still_to_be_made() {
    let broker = embedded(&[("users", 2)]);
    let mut watch = TopicWatch::open(&broker.kafka).unwrap();
    assert_eq!(watch.look(&[("users", 2), ("orders", 2)]), []);
    let faults = watch.look(&[("users", 3)]);
    assert!(matches!(&faults[..], [TopicError::PartitionCount { expected: 3, actual: 2, .. }]), "{faults:?}");
}

#[test]
fn watermarks_of_what_is_not_there_are_an_error() {
    let broker = embedded(&[("users", 1)]);
    let missing = topics::watermarks(&broker.kafka, "nobody", 0).unwrap_err();
    assert!(matches!(&missing, TopicError::Missing { topic } if topic == "test.nobody"), "{missing}");
}

#[test]
fn the_tail_record_is_the_last_one() {
    let broker = embedded(&[("users", 2)]);
    assert_eq!(topics::tail_record(&broker.kafka, "users", 0).unwrap(), None);
    write(&broker.kafka, "users", 0, &["first", "second", "third"]);
    let tail = topics::tail_record(&broker.kafka, "users", 0).unwrap().unwrap();
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
