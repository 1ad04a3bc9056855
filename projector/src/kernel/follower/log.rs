//! The follower's looks at the log: it waits for a broker, for topics, and for a log that lost its end to be healed.

use std::sync::Arc;
use std::time::Duration;

use event_log::topics::{self, TopicError, Watermarks};
use event_log::{LogError, Start};
use schemas::event_data::EventData;

use super::following::Following;
use super::telling::publish_state;
use crate::kernel::place::places;
use crate::kernel::progress::State;
use crate::kernel::sources::{self, Misfit};
use crate::kernel::stop::StopReason;

/// How long a broker may take to answer before it counts as away; it is tried again for ever.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two looks at a broker that is away, at topics that do not exist yet, or at a log that lost its end.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Where to read.
pub(super) struct Found {
    /// What the log holds, per partition.
    pub(super) log: Vec<Watermarks>,
    /// Where to go on, per partition.
    pub(super) starts: Vec<Start>,
}

/// What stands in the way of reading.
enum Wait {
    /// No broker, or a topic that is not there yet.
    ForLog(String),
    /// The log ends before what has been projected.
    ForEnd(StopReason),
}

impl<E: EventData> Following<E> {
    /// Where to go on, once the log has it; `None` if the request to stop came first. While the end of the log is
    /// missing, the state is [`State::Stopped`], and stays so until all partitions are read again.
    pub(super) fn wait_for_place(&mut self) -> Result<Option<Found>, StopReason> {
        let mut told = String::new();
        loop {
            let problem = match self.look()? {
                Ok(found) => return Ok(Some(found)),
                Err(Wait::ForLog(problem)) => problem,
                Err(Wait::ForEnd(reason)) => {
                    let problem = reason.to_string();
                    if problem != told {
                        publish_state(&self.progress, State::Stopped(Arc::new(reason)));
                    }
                    problem
                }
            };
            if problem != told {
                tracing::warn!("not following yet: {problem}; trying again");
                told = problem;
            }
            self.repair()?;
            if self.stopping.wait(RETRY_AFTER) {
                return Ok(None);
            }
        }
    }

    fn look(&self) -> Result<Result<Found, Wait>, StopReason> {
        let unknown = |error: TopicError| Ok(Err(Wait::ForLog(error.to_string())));
        if let Err(error) = topics::wait_reachable(&self.kafka, REACHABLE_TIMEOUT) {
            return unknown(error.into());
        }
        let checkpoint = self.generation.checkpoint();
        let log = match sources::watermarks(&self.kafka, &checkpoint) {
            Ok(Ok(log)) => log,
            Ok(Err(Misfit::Partitions(reason))) => return Err(reason),
            Ok(Err(Misfit::Missing { topic })) => {
                return Ok(Err(missing(&self.kafka.topic_name(&topic), checkpoint.projected_from(&topic))));
            }
            Err(error) => return unknown(error),
        };
        sources::check_fronts(&checkpoint, &log, self.kafka.embedded)?;
        let places = match places(&self.kafka, &checkpoint, &log) {
            Ok(places) => places,
            Err(error) => return unknown(error),
        };
        let starts = sources::starts_at(&checkpoint, &log, &places);
        Ok(starts.map(|starts| Found { log, starts }).map_err(Wait::ForEnd))
    }

    /// Whether an error of the reader may mean that the log is no longer what it was.
    pub(super) fn may_have_moved(error: &LogError) -> bool {
        matches!(error, LogError::OffsetOutOfRange { .. } | LogError::NoSuchPartition { .. })
    }
}

fn missing(topic: &str, projected: bool) -> Wait {
    if !projected {
        return Wait::ForLog(format!("topic {topic} does not exist yet"));
    }
    Wait::ForEnd(StopReason::Log {
        passes: true,
        error: format!(
            "topic {topic} does not exist any more, but was projected: restore it from a backup, or start the service that owns \
             it, which makes it anew and sends again what it has kept"
        ),
    })
}
