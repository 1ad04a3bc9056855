//! A store with very many rows, which does not take as many requests: its topic is filled, and its index built from that.

use std::time::Duration;

use daybook_kafka::topics::{self, TopicSpec};
use daybook_kafka::{Outgoing, SendError, Writer, partition_for_key};
use serde_json::Value;
use system_tests::broker::{PARTITIONS, TestBroker};
use system_tests::log;
use uuid::Uuid;

use crate::world::{Kafka, TOPIC, World, stopped};

const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// Pause while the producer has no room.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// A service's directory and topic, and whom they know besides those who sign up.
pub(crate) struct Grown {
    pub(crate) world: World,
    pub(crate) users: Vec<Uuid>,
}

impl Grown {
    /// With so many users more than `world` has, in the log of `broker` and in the index.
    pub(crate) fn make(broker: TestBroker, users: usize) -> Self {
        let pattern = pattern();
        let mut world = World::in_memory();
        world.broker = broker;
        let spec = TopicSpec { partitions: PARTITIONS, replication_factor: 1 };
        topics::ensure(world.broker.kafka(), TOPIC, &spec).expect("a topic");
        let users = fill(&world.broker, &pattern, users);
        let mut process = world.start(Kafka::There, &["--recover"]);
        process.address();
        let (status, said) = stopped(process);
        assert_eq!(status.code(), Some(0), "{said}");
        Self { world, users }
    }
}

/// The event of one who signed up.
fn pattern() -> Value {
    let mut world = World::new();
    let mut process = world.start(Kafka::There, &[]);
    world.sign_up(process.address());
    stopped(process);
    let mut records = log::records(world.broker.kafka(), TOPIC).concat();
    serde_json::from_slice(&records.remove(0).record.1).expect("an event in JSON")
}

/// Sends so many events after a pattern; whom they are about.
fn fill(broker: &TestBroker, pattern: &Value, users: usize) -> Vec<Uuid> {
    let writer = Writer::open(broker.kafka(), |delivery| assert!(delivery.result.is_ok())).expect("a writer");
    let mut next = [0; PARTITIONS as usize];
    let mut sign_up = |number| {
        let user = Uuid::now_v7();
        let key = user.to_string();
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        let position = &mut next[partition as usize];
        let value = event(pattern, user, partition, *position, number).to_string();
        *position += 1;
        let (key, value) = (key.as_bytes(), value.as_bytes());
        while let Err(error) =
            writer.send(Outgoing { topic: TOPIC, partition, key, value, headers: &[], tag: 0 })
        {
            assert!(matches!(error, SendError::QueueFull), "{error}");
            std::thread::sleep(FULL_PAUSE);
        }
        user
    };
    let users = (0..users).map(&mut sign_up).collect();
    writer.flush(FLUSH_TIMEOUT).expect("a log that takes records");
    users
}

fn event(pattern: &Value, user: Uuid, partition: i32, position: u64, number: usize) -> Value {
    let mut event = pattern.clone();
    // Of a writer from before there were claims, and links.
    for attribute in ["writerepoch", "previousid"] {
        event.as_object_mut().expect("an object").remove(attribute);
    }
    event["id"] = Uuid::now_v7().to_string().into();
    event["source"] = format!("/users/{partition}").into();
    event["subject"] = user.to_string().into();
    event["sequence"] = format!("{position:020}").into();
    event["data"]["user_id"] = user.to_string().into();
    event["data"]["email"] = format!("grown-{number}@example.org").into();
    event["data"]["name"] = "Ada".into();
    event["data"]["address"] = "1 Row".into();
    event
}
