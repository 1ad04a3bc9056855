//! What lies in the log is what any Kafka tool reads: key, headers and value as designed.

use std::process::Command;

use daybook_event::claim::CLAIMED;
use serde_json::Value;
use system_tests::binaries;
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DAYBOOK_TEST_BROKERS"]
async fn kafkas_own_consumer_reads_our_records() {
    let site = Site::start(TestBroker::real()).await;
    let user = site.sign_up("jill@example.com").await;
    let product = site.product("pants").await;
    let order = site.order(&user, &product).await;
    site.ordered_products(&user, &order.token).await;

    assert_record(&consume(&site, "users.events"), &user.id, "shop.user.signed-up.v1", &user.token);
    assert_record(&consume(&site, "products.events"), &product.id, "shop.product.created.v2", &product.token);
    assert_record(&consume(&site, "orders.events"), &user.id, "shop.order.placed.v2", &order.token);
}

/// The first event of a topic, behind its writer's claims, as `partition TAB headers TAB key TAB value`.
fn consume(site: &Site, topic: &str) -> String {
    let kafka = site.broker.kafka();
    let records = (PARTITIONS + 1).to_string();
    let formatter = ["print.partition=true", "print.headers=true", "print.key=true"];
    let mut command = Command::new(binaries::root().join("system-tests/kafka/kafka"));
    command.args(["tool", "kafka-console-consumer", "--bootstrap-server", &kafka.brokers]);
    command.args(["--topic", &kafka.topic_name(topic), "--from-beginning", "--max-messages", &records]);
    command.args(formatter.iter().flat_map(|property| ["--formatter-property", property]));
    let output = command.args(["--timeout-ms", "60000"]).output().expect("Kafka's own tools run");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .find(|line| !line.contains(CLAIMED))
        .unwrap_or_else(|| panic!("no record: {}", String::from_utf8_lossy(&output.stderr)))
        .to_owned()
}

#[track_caller]
fn assert_record(line: &str, key: &str, event_type: &str, token: &str) {
    let fields: Vec<&str> = line.splitn(4, '\t').collect();
    let [partition, headers, found_key, value] = fields[..] else { panic!("not four fields: {line}") };
    let own = token.split(',').next().and_then(|own| own.split_once('/'));
    let place = own.and_then(|(_, place)| place.split_once('@')).expect("a token");
    assert_eq!(partition, format!("Partition:{}", place.0));
    assert_eq!(headers, "content-type:application/cloudevents+json; charset=UTF-8");
    assert_eq!(found_key, key);
    let event: Value = serde_json::from_str(value).expect("the value is JSON");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], event_type);
    assert_eq!(event["sequence"], format!("{:0>20}", place.1));
    assert_eq!(event["datacontenttype"], "application/json");
    assert!(event["data"].is_object(), "{event}");
}
