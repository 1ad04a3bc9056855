//! What can be wrong with a topic.

use crate::LogError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error(
        "topic {topic} does not exist; create it, start the service that owns it, or correct --brokers or \
         --topic-prefix"
    )]
    Missing { topic: String },
    #[error(
        "topic {topic} has {actual} partitions, but {expected} are configured, so keys would move to other partitions; \
         set --partitions {actual} if nothing was written with {expected}, else recreate it with {expected} and copy the events into \
         it, or use another --topic-prefix"
    )]
    PartitionCount { topic: String, expected: i32, actual: i32 },
    #[error(
        "topic {topic} would drop events: its {setting} is {value}, it must be {required}; correct it with \
         kafka-configs --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config \
         {setting}={required}"
    )]
    WouldDropEvents {
        topic: String,
        brokers: String,
        setting: &'static str,
        value: String,
        required: &'static str,
    },
    #[error(
        "topic {topic} partition {partition} begins at offset {low}: its first events were deleted, so neither a store nor a read \
         model can be rebuilt from it; restore the topic from a backup"
    )]
    FrontDeleted { topic: String, partition: i32, low: i64 },
    #[error(
        "topic {topic} cannot be created with {partitions} partitions and replication factor {replication_factor}: \
         {reason}; correct --partitions or --replication-factor, or have it created with cleanup.policy=delete, \
         retention.ms=-1, retention.bytes=-1"
    )]
    Create { topic: String, partitions: i32, replication_factor: i32, reason: String },
    #[error("topic {topic} partition {partition} {}", away(*leader, replicas, *waited_ms, said.as_deref()))]
    PartitionAway {
        topic: String,
        partition: i32,
        /// The broker that should answer, if there is one.
        leader: Option<i32>,
        replicas: Vec<i32>,
        waited_ms: u128,
        /// What it says instead of an answer, if it says anything.
        said: Option<String>,
    },
    #[error(
        "topic {topic} partition {partition} takes no writes (waited {waited_ms} ms), although its leader answers; check that as many of its \
         brokers run as its min.insync.replicas requires"
    )]
    TakesNoWrites { topic: String, partition: i32, waited_ms: u128 },
    #[error(
        "topic {topic} partition {partition} refuses writes: {reason}; check the rights of this user, the topic's settings, and this \
         machine's clock"
    )]
    RefusesWrites { topic: String, partition: i32, reason: String },
    #[error(
        "cannot learn {what} of topic {topic}: {reason}; check Kafka's state and the rights of this user"
    )]
    Inspect { topic: String, what: &'static str, reason: String },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl TopicError {
    /// Whether one partition cannot be used at present, while others may be.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::PartitionAway { .. } | Self::TakesNoWrites { .. } | Self::RefusesWrites { .. })
    }
}

fn away(leader: Option<i32>, replicas: &[i32], waited_ms: u128, said: Option<&str>) -> String {
    let said = said.map_or_else(String::new, |said| format!(" and says: {said}"));
    match leader {
        Some(leader) => format!(
            "gets no answer: its leader, broker {leader}, has been asked for {waited_ms} ms{said}; check that broker"
        ),
        None => {
            let brokers: Vec<_> = replicas.iter().map(i32::to_string).collect();
            let brokers = brokers.join(", ");
            format!("has no leader: the brokers that have it are down ({brokers}); start them again")
        }
    }
}
