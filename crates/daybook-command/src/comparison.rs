//! The comparison of the own journal with the log, on Kafka: at every start, and whenever the log may have changed.

use std::sync::Arc;

use daybook_journal::{ReadError, Reader};
use daybook_kafka::topics::TopicError;
use daybook_kafka::{Kafka, LogError};
use daybook_stream::SetAsideNotes;

use super::incoming::IncomingError;
use super::log_tail::{Compared, Outbox, Resume, Tail, TailError, compare};
use super::recorded::{self, Recorded};
use super::rows::Counter;
use super::writer::{OwnLog, WholeLog};

const REMEDY: &str = "; if that does not pass, keep a copy of the service's directory, then start with --recover to rebuild it from \
                      the log and what of the journal can be read";

/// Why journal and log could not be compared, or do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("what the log ends with cannot be compared with the journal: {}{}", .0, remedy(.0))]
    Journal(#[from] ReadError),
    #[error(transparent)]
    Tail(#[from] TailError),
    #[error(transparent)]
    Incoming(#[from] IncomingError),
}

fn remedy(error: &ReadError) -> &'static str {
    match error {
        ReadError::Damaged { .. } => REMEDY,
        ReadError::Io { .. } => "",
    }
}

impl From<LogError> for CompareError {
    fn from(error: LogError) -> Self {
        Self::Topic(error.into())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct OwnTopic {
    pub(crate) kafka: Kafka,
    pub(crate) topic: &'static str,
    pub(crate) service: &'static str,
    pub(crate) partitions: i32,
    /// The service's directory, for what an error says.
    pub(crate) dir: String,
    /// Records in it that are no events of the service.
    pub(crate) set_aside: Arc<SetAsideNotes>,
}

impl OwnTopic {
    pub(crate) fn full_name(&self) -> String {
        self.kafka.topic_name(self.topic)
    }

    /// A directory without a store has no business with a topic that has events.
    pub(crate) fn refuse_to_begin_anew(&self, log: &WholeLog<'_>) -> Result<(), CompareError> {
        let nothing = Recorded { counter: Counter::default(), sent: 0, kept_from: 0 };
        let topic = self.full_name();
        for (partition, tail) in (0..).zip(log.tails()) {
            compare(
                &Compared { topic: &topic, partition, dir: &self.dir },
                &nothing,
                tail,
                &Outbox::default(),
            )?;
        }
        Ok(())
    }

    /// Compares journal and log, of which `recorded` is what is known, without changing anything. Of partitions that nobody
    /// answers for there is nothing to compare.
    pub(crate) fn compare(
        &self,
        journal: &Reader,
        recorded: Vec<Recorded>,
        log: &OwnLog,
    ) -> Result<Vec<Option<(Recorded, Resume)>>, CompareError> {
        self.each(journal, recorded, log).map(Option::transpose).collect()
    }

    /// The same one by one: what does not fit in one partition says nothing of the others. Of what is known not to fit, there
    /// is nothing to compare.
    fn each(
        &self,
        journal: &Reader,
        recorded: Vec<Recorded>,
        log: &OwnLog,
    ) -> impl Iterator<Item = Option<Result<(Recorded, Resume), CompareError>>> {
        let topic = self.full_name();
        (0..self.partitions).zip(recorded).map(move |(partition, recorded)| {
            let at = log.fit(partition)?;
            let here = Compared { topic: &topic, partition, dir: &self.dir };
            let outbox = outbox(journal, partition as usize, &recorded, at.tail());
            let resume = outbox.map_err(CompareError::from);
            let resume = resume.and_then(|outbox| Ok(compare(&here, &recorded, at.tail(), &outbox)?));
            Some(resume.map(|resume| (recorded, resume)))
        })
    }

    /// Notes in `log` which partitions do not fit.
    ///
    /// # Errors
    /// Only those of the disk, which are about none in particular.
    pub(crate) fn judge(&self, journal: &Reader, log: &mut OwnLog) -> Result<(), CompareError> {
        let compared: Vec<_> = self.each(journal, recorded::recorded(journal), log).collect();
        for (partition, compared) in (0..).zip(compared) {
            match compared {
                Some(Err(error @ CompareError::Journal(ReadError::Io { .. }))) => return Err(error),
                Some(Err(error)) => log.does_not_fit(partition, error),
                Some(Ok(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Per partition: the positions that the log has, which the relay goes on behind; none of those that nobody answers for, or
    /// that do not fit. Says loudly what the log has lost, and tells the journal what is to be sent again, and where the last
    /// event lies: the next comparison begins there.
    pub(crate) fn resume(
        &self,
        journal: &Reader,
        log: &mut OwnLog,
    ) -> Result<Vec<Option<u64>>, CompareError> {
        self.judge(journal, log)?;
        let (topic, log) = (self.full_name(), &*log);
        let compared = self.compare(journal, recorded::recorded(journal), log)?;
        for (partition, compared) in (0..).zip(&compared) {
            if let (Some(at), Some((recorded, resume))) = (log.fit(partition), compared) {
                tell(&topic, partition, recorded, *resume);
                let reached = at.state.reached();
                journal.sent(
                    partition as usize,
                    resume.sent,
                    reached.last_id.map(|_| recorded::mark(&reached)),
                );
            }
        }
        Ok(compared.iter().map(|compared| compared.as_ref().map(|(_, resume)| resume.sent)).collect())
    }
}

/// What is compared with the end of a partition. Where the log has all, nothing of the journal is needed.
fn outbox(
    journal: &Reader,
    partition: usize,
    recorded: &Recorded,
    tail: Option<Tail>,
) -> Result<Outbox, ReadError> {
    let (next, in_log) = (recorded.counter.next, tail.map_or(0, |tail| tail.position.saturating_add(1)));
    if in_log >= next {
        return Ok(Outbox::default());
    }
    let id = match tail.map(|tail| recorded::kept_id(journal, partition, tail.position)) {
        // Kafka acknowledged it to this very journal.
        Some(Err(_)) if recorded.sent >= in_log => None,
        kept => kept.transpose()?.flatten(),
    };
    // Of what Kafka never had, the relay says what is missing.
    let had = recorded.sent.max(recorded.kept_from).min(next).max(in_log);
    Ok(Outbox { id, lacks: journal.missing(partition, in_log..had).into_iter().next() })
}

fn tell(topic: &str, partition: i32, recorded: &Recorded, resume: Resume) {
    if resume.lost > 0 {
        tracing::warn!(
            topic,
            partition,
            from_position = resume.sent,
            to_position = recorded.sent - 1,
            "the log has lost its end, which Kafka had acknowledged; the events are sent again from the outbox"
        );
    }
}
