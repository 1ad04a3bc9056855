//! What somebody else has written among the records of the present writer: read before anything behind it counts.

use std::sync::Arc;
use std::time::Duration;

use daybook_event::envelope::Envelope;
use daybook_event::sequence::Reached;
use daybook_kafka::{LogError, Record, Span, Start, read_spans_until};
use daybook_stream::{Admission, Disposition, PartitionState};

use super::Relay;
use super::error::RelayError;
use super::session::Session;
use crate::incoming;
use crate::positions::{Failure, Look};
use crate::recorded;
use crate::writer::Unexplained;

/// How long a broker may stay silent that has told of more.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Why what was read ends the writer.
enum Others {
    Log(LogError),
    /// Another writer of the service, or what does not go on where this one does.
    Writer(String),
}

impl From<LogError> for Others {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Relay {
    /// Reads it. Records that are set aside, and what a writer that was fenced had under way, leave the present writer in force; anything
    /// else ends it, and the comparison before the next one says what it is.
    pub(super) fn explain(
        &self,
        session: &Session,
        found: &Unexplained,
        look: &Look,
    ) -> Result<(), RelayError> {
        let (own, partition) = (&self.claimant.own, found.partition as i32);
        let next_position = look.acknowledged[found.partition];
        let (last_id, log_id) = (None, None);
        let reached = Reached { offset: found.from, epoch: session.epoch, next_position, last_id, log_id };
        let mut state = PartitionState::resume(Arc::from(own.topic), partition, own.service, reached);
        let mut lies_at = Vec::new();
        let start = Start { topic: own.topic.to_owned(), partition, offset: found.from };
        let span = Span { start, end: found.to };
        let is_over = || self.positions.is_over();
        let read = read_spans_until(&own.kafka, &[span], SILENCE_MAX, &is_over, |record| {
            self.explain_record(session, &mut state, record, &mut lies_at)
        });
        read.map_err(|others| match others {
            Others::Log(error) => RelayError::Open(error),
            Others::Writer(reason) => RelayError::Delivery(Failure { partition: Some(partition), reason }),
        })?;
        let taken = self.positions.explain(look.session, found, &lies_at);
        self.metrics.relayed_events.inc_by(taken as u64);
        Ok(())
    }

    fn explain_record(
        &self,
        session: &Session,
        state: &mut PartitionState,
        record: &Record<'_>,
        lies_at: &mut Vec<i64>,
    ) -> Result<(), Others> {
        let (view, own) = (incoming::view(record), &self.claimant.own);
        let at = || incoming::at(record, &own.kafka.topic_prefix);
        let admission = state.admit_envelope(&view, || record.headers());
        let Admission { disposition, passing } =
            admission.map_err(|refusal| Others::Writer(format!("{}: {refusal}", at())))?;
        match disposition {
            Disposition::Event(event) if self.sent(session, &event) => lies_at.push(view.offset),
            Disposition::Event(_) | Disposition::Claim(_) => {
                return Err(Others::Writer(format!("{}: somebody else writes as this service", at())));
            }
            Disposition::SetAside { why, .. } => {
                own.set_aside.note(own.topic, record.partition(), &view, &why);
            }
            Disposition::Repeated | Disposition::Fenced => {}
        }
        state.advance(passing);
        Ok(())
    }

    /// Whether the present writer has sent this very event.
    fn sent(&self, session: &Session, event: &Envelope<'_>) -> bool {
        let partition = event.source.partition as usize;
        let is_sent = event.writer_epoch == session.epoch && event.position < session.sent[partition];
        // What cannot be read is compared anew, as somebody else's is.
        is_sent && recorded::kept_id(&self.journal, partition, event.position).ok() == Some(Some(event.id))
    }
}
