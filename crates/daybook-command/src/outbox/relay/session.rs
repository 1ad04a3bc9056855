//! A new writer: the topic is claimed for it, and where the log ends is found out, before it sends anything. What another writer
//! has written among its records is read before anything behind it counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_event::envelope::Envelope;
use daybook_event::sequence::Reached;
use daybook_kafka::{Delivery, LogError, Record, Span, Start, Writer, read_spans_until, topics};
use daybook_stream::{Admission, Disposition, PartitionState};
use uuid::Uuid;

use crate::fencing::{Claimed, OwnLog, OwnPartition, Patience, Unexplained};
use crate::metrics::Metrics;
use crate::outbox::positions::{Failure, Positions, Snapshot};
use crate::outbox::relay::Relay;
use crate::outbox::relay::error::RelayError;
use crate::{incoming, reconcile};

/// How long a broker may take to answer before a stop is looked for; it is asked again for as long as it takes.
const REACHABLE_TIMEOUT: Duration = Duration::from_secs(1);

/// One writer, and how far it was given events.
pub(super) struct Session {
    pub(super) writer: Writer,
    pub(super) epoch: u32,
    pub(super) sent: Vec<u64>,
    /// Per partition: what the next event names as the one before it, if that is known.
    pub(super) before: Vec<Option<Uuid>>,
}

impl Relay {
    /// Opens a writer behind the claims of the start, or behind new ones.
    pub(super) fn open(&mut self) -> Result<Session, RelayError> {
        let session = self.positions.begin_session();
        let claimed = match self.claimed.take() {
            Some(claimed) => claimed,
            None => self.claim()?,
        };
        self.positions.claimed(&claimed);
        let (positions, metrics) = (Arc::clone(&self.positions), Arc::clone(&self.metrics));
        let brokers_lost = Arc::clone(&self.positions);
        let writer = Writer::open_watching(
            &self.claimant.own.kafka,
            move |delivery| deliver(&positions, &metrics, session, &delivery),
            // Who comes back may have lost the end of the log, and would take the next event behind the gap.
            move |reason| {
                let reason = format!("Kafka was lost: {reason}");
                brokers_lost.delivery_failed(session, Failure { partition: None, reason });
            },
        )?;
        let (epoch, sent) = (claimed.epoch, self.positions.snapshot().acknowledged);
        let before = self.before(&sent);
        Ok(Session { writer, epoch, sent, before })
    }

    /// What lies in the log before these positions: an event, as the comparison has found it, or nothing but the log's beginning.
    fn before(&self, sent: &[u64]) -> Vec<Option<Uuid>> {
        let of = |(sent, mark): (&u64, Reached)| match *sent {
            0 => self.claimant.instance.log_id(),
            sent if sent == mark.next_position => mark.last_id,
            _ => None,
        };
        sent.iter().zip(reconcile::marks(&self.journal)).map(of).collect()
    }

    /// Waits for a broker, finds out what the log has, and claims the topic again if they fit together: who cannot go on has
    /// nothing to claim. What landed before the claims meanwhile is compared as well.
    fn claim(&mut self) -> Result<Claimed, RelayError> {
        let waiting = topics::Inspector::open(&self.claimant.own.kafka)?;
        let found = loop {
            match waiting.wait_reachable(REACHABLE_TIMEOUT, || false) {
                Ok(found) => break found,
                Err(_) if self.positions.is_over() => return Err(RelayError::Stopping),
                Err(error) => {
                    self.positions.set_trouble(Failure { partition: None, reason: error.to_string() });
                }
            }
        };
        if found != self.claimant.cluster {
            return Err(RelayError::OtherCluster { known: self.claimant.cluster.clone(), found });
        }
        let positions = Arc::clone(&self.positions);
        let is_over = move || positions.is_over();
        let patience = Patience::until(&is_over);
        let mut log = self.compare(&patience)?;
        let claimed = self.claimant.claim(&mut log, &patience)?;
        let sent = self.claimant.own.resume(&self.journal, &mut log)?;
        self.positions.set_acknowledged(&sent);
        self.report_diverged(&log);
        // What was found since the claims were sent is claimed and not written to.
        let ends = (0..).zip(claimed.ends).map(|(partition, end)| log.why_not(partition).map_or(end, Err));
        Ok(Claimed { ends: ends.collect(), ..claimed })
    }

    /// Partitions that do not fit take nothing from here on, until a comparison finds that they do.
    fn report_diverged(&mut self, log: &OwnLog) {
        let index = |partition: &i32| usize::try_from(*partition).ok();
        let reasons = log.diverged.iter().filter_map(|(at, why)| Some((index(at)?, why.to_string())));
        let reasons: BTreeMap<usize, String> = reasons.collect();
        let topic = self.claimant.own.topic;
        for (partition, reason) in
            reasons.iter().filter(|(at, reason)| self.reported.diverged.get(at) != Some(reason))
        {
            self.metrics.relay_failures.inc();
            tracing::error!(
                topic,
                partition,
                "nothing is sent of a partition, and its commands are refused: {reason}"
            );
        }
        for partition in self
            .reported
            .diverged
            .keys()
            .filter(|at| !reasons.contains_key(at) && log.fit(**at as i32).is_some())
        {
            tracing::info!(topic, partition, "a partition that did not fit does so again");
        }
        let ends = log.known().filter(|(at, _)| log.diverged.contains_key(at));
        let ends = ends.filter_map(|(partition, at)| Some((index(&partition)?, at.next_offset)));
        self.positions.set_diverged(&ends.collect());
        self.reported.diverged = reasons;
    }

    /// Reads the log from where it was last known to be the own one, and compares it with the journal.
    fn compare(&mut self, patience: &Patience<'_>) -> Result<OwnLog, RelayError> {
        let own = &self.claimant.own;
        let mut marks = reconcile::marks(&self.journal);
        for (mark, read) in marks.iter_mut().zip(&self.read) {
            *mark = read.unwrap_or(*mark);
        }
        let (mut log, ends) = OwnLog::open(own, &marks, self.claimant.instance.epoch(), patience)?;
        let read = log.read_to(own, &ends, patience);
        self.metrics.compared_records.inc_by(log.records);
        if let Some(fenced) = self.claimant.fenced(&log) {
            let own_end = |at: &Result<OwnPartition, _>| Some(at.as_ref().ok()?.own_end);
            self.positions.set_last_acknowledged(log.partitions.iter().map(own_end));
            return Err(RelayError::Fenced(Box::new(fenced)));
        }
        let compared = read.and_then(|()| own.judge(&self.journal, &mut log).map(drop));
        let is_to_be_read = |partition| compared.is_err() || log.diverged.contains_key(&partition);
        let reached = |(partition, at): (i32, &Result<OwnPartition, _>)| {
            at.as_ref().ok().filter(|_| is_to_be_read(partition)).map(|at| at.state.reached())
        };
        self.read = (0..).zip(&log.partitions).map(reached).collect();
        compared?;
        self.report_diverged(&log);
        Ok(log)
    }
}

fn deliver(positions: &Positions, metrics: &Metrics, session: u64, delivery: &Delivery<'_>) {
    match &delivery.result {
        Ok(offset) => {
            if positions.delivered(session, delivery.partition, delivery.tag, *offset) {
                metrics.relayed_events.inc();
            }
        }
        Err(error) => {
            let failure = Failure { partition: Some(delivery.partition), reason: error.to_string() };
            positions.delivery_failed(session, failure);
        }
    }
}

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
        snapshot: &Snapshot,
    ) -> Result<(), RelayError> {
        let (own, partition) = (&self.claimant.own, found.partition as i32);
        let next_position = snapshot.acknowledged[found.partition];
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
        let taken = self.positions.explain(snapshot.session, found, &lies_at);
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
                return Err(Others::Writer(format!("{}: another process writes as this service", at())));
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
        // What cannot be read is compared again, as another writer's is.
        is_sent && reconcile::kept_id(&self.journal, partition, event.position).ok() == Some(Some(event.id))
    }
}
