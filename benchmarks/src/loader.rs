//! Fills the topics with the shop's real events, as the services would have written them: a tenth are sign-ups, one in
//! two hundred is a product, the rest are orders of a random user and product. One user may be given any number of them.

mod made_up;

use daybook_kafka::Kafka;
use daybook_kafka::topics::{self, TopicSpec};
use uuid::Uuid;

use crate::Outcome;
use crate::broker::Broker;
use crate::figures::grouped;
use made_up::MadeUp;

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 6;

/// Topics with events, and users to ask for.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The log.
    pub(crate) kafka: Kafka,
    /// Events in it.
    pub(crate) events: u64,
    /// How many of them are orders.
    pub(crate) orders: u64,
    /// Ids of all users.
    pub(crate) users: Vec<Uuid>,
}

/// What to load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Stands in the topics' names.
    pub(crate) name: &'static str,
    /// How many events.
    pub(crate) events: u64,
    /// Seed of the made-up data.
    pub(crate) seed: u64,
    /// How many of the orders one single user has placed; the others are spread evenly.
    pub(crate) one_user_orders: u64,
}

/// Loads what is planned into fresh topics.
pub(crate) fn load(broker: &Broker, plan: &Plan) -> Outcome<Loaded> {
    let kafka = broker.kafka(&format!("bench-{}-{}-{}-", plan.name, plan.seed, std::process::id()));
    for topic in schemas::TOPICS {
        topics::ensure(&kafka, topic, &TopicSpec { partitions: PARTITIONS, replication_factor: 1 })?;
    }
    eprintln!("loading {} events into {}* ...", grouped(plan.events), kafka.topic_prefix);
    let made_up = MadeUp::open(&kafka, plan.seed)?.write_all(plan)?;
    Ok(made_up.into_loaded(kafka))
}
