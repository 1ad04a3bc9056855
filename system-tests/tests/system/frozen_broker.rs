//! One of three brokers stands still: it closes no connection and answers nothing, and others lead in its place.

use std::sync::mpsc;
use std::time::Duration;

use daybook_kafka::{Outgoing, Writer};
use system_tests::broker::TestBroker;
use system_tests::kafka::OwnKafka;

const TOPIC: &str = "frozen";
/// Far longer than a request is waited for and others take to lead, and far shorter than the minute for which librdkafka would
/// wait by itself.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(40);

#[test]
#[ignore = "starts a Kafka of its own"]
fn what_is_under_way_to_a_broker_that_stands_still_is_sent_to_who_leads_in_its_place() {
    let kafka = OwnKafka::start_with("3");
    let broker = TestBroker::at(kafka.brokers.clone());
    let topic = broker.kafka().topic_name(TOPIC);
    let replicas = ["--partitions", "1", "--replication-factor", "3"];
    kafka.tool("kafka-topics", &[&["--create", "--topic", &topic], &replicas[..]].concat());
    let (tell, told) = mpsc::channel();
    let writer = Writer::open(broker.kafka(), move |delivery| {
        // Nobody listens any more only when the test has failed.
        let _unheard = tell.send((delivery.tag, delivery.result.map_err(|error| error.to_string())));
    })
    .unwrap();
    let send = |tag: u64| {
        let record = Outgoing { topic: TOPIC, partition: 0, key: b"key", value: b"value", headers: &[], tag };
        writer.send(record).unwrap();
        let (acknowledged, result) = told.recv_timeout(ACKNOWLEDGED_WITHIN).expect("an acknowledgement");
        assert_eq!(acknowledged, tag);
        result.unwrap();
    };
    send(1);
    kafka.pause(&kafka.leader(&topic, 0));
    send(2);
}
