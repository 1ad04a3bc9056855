//! One partition of a reader, with its own queue.

use std::cell::Cell;
use std::sync::Arc;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::Start;
use super::native_topic::Topic;
use super::wake::Wake;
use crate::client::Context;
use crate::{Kafka, LogError};

/// One partition that is read.
pub(super) struct Source {
    pub(super) queue: PartitionQueue<Context>,
    /// The same queue, for whoever reads many at once.
    pub(super) native: Topic,
    /// Bare name.
    pub(super) topic: String,
    pub(super) full_topic: String,
    pub(super) partition: i32,
    pub(super) next_offset: Cell<i64>,
}

impl Source {
    pub(super) fn open(
        consumer: &Arc<BaseConsumer<Context>>,
        kafka: &Kafka,
        start: &Start,
        wake: &Arc<Wake>,
    ) -> Result<Source, LogError> {
        let full_topic = kafka.topic_name(&start.topic);
        let &Start { partition, offset, .. } = start;
        // librdkafka reads negative offsets as "beginning", "end" and the like.
        if offset < 0 {
            return Err(LogError::StartNegative { topic: full_topic, partition, offset });
        }
        let mut queue = consumer
            .split_partition_queue(&full_topic, partition)
            .ok_or_else(|| LogError::NoSuchPartition { topic: full_topic.clone(), partition })?;
        queue.set_nonempty_callback(wake.setter());
        let native = Topic::open(consumer, &full_topic)
            .ok_or_else(|| LogError::NoSuchPartition { topic: full_topic.clone(), partition })?;
        let topic = start.topic.clone();
        Ok(Source { queue, native, topic, full_topic, partition, next_offset: Cell::new(offset) })
    }
}

/// Starts fetching from all sources at their next offsets.
pub(super) fn assign(consumer: &BaseConsumer<Context>, sources: &[Source]) -> Result<(), LogError> {
    let client_error =
        |error: KafkaError| LogError::Client { doing: "assigning partitions", reason: error.to_string() };
    let mut list = TopicPartitionList::with_capacity(sources.len());
    for source in sources {
        let offset = Offset::Offset(source.next_offset.get());
        list.add_partition_offset(&source.full_topic, source.partition, offset).map_err(client_error)?;
    }
    consumer.assign(&list).map_err(client_error)
}
