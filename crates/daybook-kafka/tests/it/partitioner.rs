//! Our partitioner against librdkafka's implementation of Kafka's.

use daybook_kafka::{Reader, partition_for_key};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::{DEADLINE, Seen, embedded, read_to_ends, start};

const PARTITIONS: i32 = 7;

#[test]
fn keys_go_where_librdkafkas_murmur2_sends_them() {
    let broker = embedded(&[("keys", PARTITIONS)]);
    let keys: Vec<String> = (0..300)
        .map(|length| "0123456789abcdef-".repeat(3)[..length % 50].to_owned() + &length.to_string())
        .collect();
    produce_by_key(&broker.kafka.brokers, &broker.kafka.topic_name("keys"), &keys);
    let starts: Vec<_> = (0..PARTITIONS).map(|partition| start("keys", partition, 0)).collect();
    let seen = read_to_ends(&Reader::open(&broker.kafka, &starts).unwrap(), starts.len());
    let mut compared = 0;
    for seen in seen {
        let Seen::Record { source, value: key, .. } = seen else { continue };
        assert_eq!(usize::try_from(partition_for_key(key.as_bytes(), PARTITIONS)), Ok(source), "{key}");
        compared += 1;
    }
    assert_eq!(compared, keys.len());
}

/// The key is the value as well.
fn produce_by_key(brokers: &str, topic: &str, keys: &[String]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("partitioner", "murmur2").create().unwrap();
    for key in keys {
        producer.send(BaseRecord::to(topic).key(key).payload(key)).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}
