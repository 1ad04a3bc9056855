//! The partitions of a reader, each with its own queue: whose turn it is, and waiting for any of them.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::Start;
use super::native::Topic;
use crate::client::Context;
use crate::{Kafka, LogError};

pub(super) struct PartitionReader {
    pub(super) queue: PartitionQueue<Context>,
    /// The same queue, for reading many records at once.
    pub(super) native: Topic,
    pub(super) topic: String,
    pub(super) full_topic: String,
    pub(super) partition: i32,
    pub(super) next_offset: Cell<i64>,
}

impl PartitionReader {
    pub(super) fn open(
        consumer: &Arc<BaseConsumer<Context>>,
        kafka: &Kafka,
        start: &Start,
        wake: &Arc<Wake>,
    ) -> Result<PartitionReader, LogError> {
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
        Ok(PartitionReader { queue, native, topic, full_topic, partition, next_offset: Cell::new(offset) })
    }
}

pub(super) fn assign(consumer: &BaseConsumer<Context>, sources: &[PartitionReader]) -> Result<(), LogError> {
    let client_error =
        |error: KafkaError| LogError::Client { doing: "assigning partitions", reason: error.to_string() };
    let mut list = TopicPartitionList::with_capacity(sources.len());
    for source in sources {
        let offset = Offset::Offset(source.next_offset.get());
        list.add_partition_offset(&source.full_topic, source.partition, offset).map_err(client_error)?;
    }
    consumer.assign(&list).map_err(client_error)
}

/// Set by librdkafka's threads whenever an empty queue gets something. The reader clears it, looks into every queue,
/// and only then waits for it: what arrives during the look is not missed.
#[derive(Default)]
pub(super) struct Wake {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    pub(super) fn setter(self: &Arc<Wake>) -> impl Fn() + Send + Sync + 'static {
        let wake = Arc::clone(self);
        move || {
            *wake.lock() = true;
            wake.changed.notify_one();
        }
    }

    pub(super) fn clear(&self) {
        *self.lock() = false;
    }

    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records taken from one source before the next one has its turn: long enough that a user's events come together,
/// short enough that no partition waits for long.
const RUN_RECORDS_MAX: u32 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) source: usize,
    run_left: u32,
}

impl Turn {
    pub(super) const FIRST: Turn = Turn { source: 0, run_left: RUN_RECORDS_MAX };

    #[must_use]
    pub(super) fn taken(self) -> Turn {
        Turn { run_left: self.run_left.saturating_sub(1), ..self }
    }

    pub(super) fn is_over(self) -> bool {
        self.run_left == 0
    }

    /// The next of `sources`, of which there is at least one.
    #[must_use]
    pub(super) fn next(self, sources: usize) -> Turn {
        Turn { source: (self.source + 1) % sources, run_left: RUN_RECORDS_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_over_after_its_records_and_the_next_source_follows() {
        let mut turn = Turn::FIRST;
        for _ in 0..RUN_RECORDS_MAX {
            assert!(!turn.is_over());
            turn = turn.taken();
        }
        assert!(turn.is_over());
        assert_eq!(turn.next(2), Turn { source: 1, run_left: RUN_RECORDS_MAX });
        assert_eq!(turn.next(2).next(2), Turn::FIRST);
        assert_eq!(turn.next(1), Turn::FIRST);
    }
}
