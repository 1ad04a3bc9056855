//! What can be wrong with a topic.

use crate::LogError;

/// Why a topic cannot be used or inspected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It does not exist.
    #[error(
        "topic {topic} does not exist; create it, start the service that owns it, or correct --brokers or \
         --topic-prefix"
    )]
    Missing {
        /// Full name.
        topic: String,
    },
    /// Another number of partitions than configured: keys would move.
    #[error(
        "topic {topic} has {actual} partitions, but {expected} are configured, so keys would move to other partitions; \
         set --partitions {actual} if nothing was written with {expected}, else create it anew with {expected} and bring the events \
         there, or use another --topic-prefix"
    )]
    PartitionCount {
        /// Full name.
        topic: String,
        /// As configured.
        expected: i32,
        /// As Kafka says.
        actual: i32,
    },
    /// A setting of the topic by which Kafka would drop events.
    #[error(
        "topic {topic} would drop events: its {setting} is {value}, it must be {required}; correct it with \
         kafka-configs --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config \
         {setting}={required}"
    )]
    WouldDropEvents {
        /// Full name.
        topic: String,
        /// As given by `--brokers`.
        brokers: String,
        /// Name of the topic's setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        required: &'static str,
    },
    /// Its first events are gone.
    #[error(
        "topic {topic} partition {partition} begins at offset {low}: its first events were deleted, so neither a store nor a read \
         model can be rebuilt from it; restore the topic from a backup"
    )]
    FrontDeleted {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// The first offset that is still there.
        low: i64,
    },
    /// The broker did not create it.
    #[error(
        "topic {topic} cannot be created with {partitions} partitions and replication factor {replication_factor}: \
         {reason}; correct --partitions or --replication-factor, or have it created with cleanup.policy=delete, \
         retention.ms=-1, retention.bytes=-1"
    )]
    Create {
        /// Full name.
        topic: String,
        /// As configured.
        partitions: i32,
        /// As configured.
        replication_factor: i32,
        /// The broker's words.
        reason: String,
    },
    /// Nobody answers for one of its partitions at present.
    #[error("topic {topic} partition {partition} {}", away(*leader, replicas, *waited_ms, said.as_deref()))]
    PartitionAway {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// The broker that should answer, if there is one.
        leader: Option<i32>,
        /// The brokers that have the partition.
        replicas: Vec<i32>,
        /// How long the leader was asked.
        waited_ms: u128,
        /// What it says instead of an answer, if it says anything.
        said: Option<String>,
    },
    /// The leader of one of its partitions answers, and acknowledges nothing that is written to it.
    #[error(
        "topic {topic} partition {partition} takes no writes: it was waited for {waited_ms} ms, although its leader answers; see that as \
         many of its brokers run as its min.insync.replicas asks for"
    )]
    TakesNoWrites {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// How long an acknowledgement was waited for.
        waited_ms: u128,
    },
    /// The leader of one of its partitions refuses what is written to it.
    #[error(
        "topic {topic} partition {partition} refuses writes: {reason}; check the rights of this user, the topic's settings, and this \
         machine's clock"
    )]
    RefusesWrites {
        /// Full name.
        topic: String,
        /// Kafka's partition number.
        partition: i32,
        /// The broker's words.
        reason: String,
    },
    /// A question about it was not answered.
    #[error(
        "cannot learn {what} of topic {topic}: {reason}; check Kafka's state and the rights of this user"
    )]
    Inspect {
        /// Full name.
        topic: String,
        /// What was asked for.
        what: &'static str,
        /// librdkafka's or the broker's words.
        reason: String,
    },
    /// The log itself cannot be reached or read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl TopicError {
    /// Whether one partition cannot be used at present, while others may be.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::PartitionAway { .. } | Self::TakesNoWrites { .. } | Self::RefusesWrites { .. })
    }
}

fn away(leader: Option<i32>, replicas: &[i32], waited_ms: u128, said: Option<&str>) -> String {
    let said = said.map_or_else(String::new, |said| format!(" and says: {said}"));
    match leader {
        Some(leader) => format!(
            "is not answered for: its leader, broker {leader}, has been asked for {waited_ms} ms{said}; check that broker"
        ),
        None => {
            let brokers: Vec<_> = replicas.iter().map(i32::to_string).collect();
            let brokers = brokers.join(", ");
            format!("has no leader: the brokers that have it are away ({brokers}); start them again")
        }
    }
}
