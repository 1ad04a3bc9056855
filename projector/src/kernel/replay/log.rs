//! The log as it is when a replay starts.

use std::collections::BTreeMap;

use event_log::Kafka;
use event_log::topics::{self, TopicError, Watermarks};

use super::options::{ReplayError, ReplayOptions};
use crate::kernel::checkpoint::SourceId;
use crate::kernel::projection::Projection;
use crate::kernel::sources;

/// What every partition holds; it must hold everything from offset zero on. A topic that does not exist holds nothing, if
/// that is allowed.
pub(super) fn look<E>(
    kafka: &Kafka,
    projection: &Projection<E>,
    options: &ReplayOptions,
) -> Result<Vec<Watermarks>, ReplayError> {
    let start = super::zero(projection, options);
    topics::wait_reachable(kafka, options.start_timeout).map_err(TopicError::from)?;
    let mut log = BTreeMap::new();
    for topic in projection.topics {
        if topic_exists(kafka, topic.name, options)? {
            let partitions: Vec<_> =
                (0..options.partitions).map(|partition| (topic.name, partition)).collect();
            let held = topics::all_watermarks(kafka, &partitions)?;
            log.extend(partitions.into_iter().zip(held));
        }
    }
    let held = |source: &SourceId| log.get(&(&*source.topic, source.partition)).copied();
    let empty = Watermarks { low: 0, high: 0 };
    let log: Vec<_> = start.sources().map(|(source, _)| held(source).unwrap_or(empty)).collect();
    sources::check(&start, &log, kafka.embedded)?;
    Ok(log)
}

fn topic_exists(kafka: &Kafka, topic: &str, options: &ReplayOptions) -> Result<bool, TopicError> {
    let expected = options.partitions;
    match topics::partition_count(kafka, topic)? {
        None if options.allow_missing_topics => Ok(false),
        None => Err(TopicError::Missing { topic: kafka.topic_name(topic) }),
        Some(actual) if actual != expected => {
            Err(TopicError::PartitionCount { topic: kafka.topic_name(topic), expected, actual })
        }
        Some(_) => Ok(true),
    }
}
