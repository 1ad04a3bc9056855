//! The end of the own topic, read by the rule that all readers share: which writer is in force, and which event was last.
//!
//! What was acknowledged and marked before need not be read again as long as the log has it where it was. Else a
//! partition is read from its beginning, because what is in force at a place follows from all that lies before it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_event::claim::Writer;
use daybook_event::place::Place;
use daybook_event::sequence::Reached;
use daybook_kafka::topics::{self, Held, TopicError};
use daybook_kafka::{Record, Span, Start, read_spans_until};
use daybook_stream::{Admission, Disposition, Located, PartitionState, locate};
use uuid::Uuid;

use crate::incoming::{self, IncomingError};
use crate::reconcile::{CompareError, OwnTopic, Tail};

/// How long a broker that is to have more may stay silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a leader may take to tell the ends at a start; one that does not is gone on without.
const START_ANSWER_MAX: Duration = Duration::from_secs(15);
/// The same while the service runs: who takes longer is claimed once the watch has heard of it.
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
pub(crate) struct Patience<'p> {
    /// How long a leader may take to tell an end.
    pub(super) answer_max: Duration,
    pub(crate) is_over: &'p dyn Fn() -> bool,
}

impl<'p> Patience<'p> {
    /// Of a service that runs.
    pub(crate) fn until(is_over: &'p dyn Fn() -> bool) -> Self {
        Self { answer_max: ANSWER_MAX, is_over }
    }

    /// Of a start.
    pub(crate) fn of_a_start() -> Self {
        Self { answer_max: START_ANSWER_MAX, is_over: &|| false }
    }
}

/// What is known of every partition of the own topic, up to where it has been read.
#[derive(Debug)]
pub(crate) struct OwnLog {
    /// A partition that nobody answers for is not known. It must never look like one without events: what the log has of it
    /// would be given out and sent again.
    pub(crate) partitions: Vec<Result<OwnPartition, TopicError>>,
    /// Known partitions that this process must not write to: they hold what must not be there, or do not go on where the
    /// journal does.
    pub(crate) diverged: BTreeMap<i32, CompareError>,
    pub(crate) records: u64,
    /// Events of a higher epoch are another writer's.
    own_epoch: u32,
}

pub(crate) struct WholeLog<'l>(Vec<&'l OwnPartition>);

/// One partition, up to where it has been read.
#[derive(Debug, Clone)]
pub(crate) struct OwnPartition {
    pub(crate) state: PartitionState,
    /// Positions before this one are there, and not of a higher epoch than the own one.
    pub(crate) own_end: u64,
    /// Offset of the first record that has not been read.
    pub(crate) next_offset: i64,
    pub(crate) claim: Option<InForce>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) offset: i64,
    pub(crate) id: Uuid,
    pub(crate) epoch: u32,
    pub(crate) writer: Writer,
}

impl OwnLog {
    /// Reads every partition that is answered for to its present end, from `marks` on as far as the log has what they name.
    pub(crate) fn read(own: &OwnTopic, marks: &[Reached], own_epoch: u32) -> Result<Self, CompareError> {
        let patience = Patience::of_a_start();
        let (mut log, ends) = Self::open(own, marks, own_epoch, &patience)?;
        log.read_to(own, &ends, &patience)?;
        log.refuse_diverged()?;
        Ok(log)
    }

    /// Finds where to read from, as [`OwnLog::read`], and where every known partition ends at present. Reads nothing yet.
    pub(crate) fn open(
        own: &OwnTopic,
        marks: &[Reached],
        own_epoch: u32,
        patience: &Patience<'_>,
    ) -> Result<(Self, Vec<Option<i64>>), CompareError> {
        let all: Vec<_> = (0..own.partitions).map(|partition| (own.topic, partition)).collect();
        let held = topics::held_until(&own.kafka, &all, patience.answer_max, patience.is_over)?;
        let mut places = places(own, marks, &held)?.into_iter();
        let topic = Arc::from(own.topic);
        let partitions = (0..).zip(marks.iter().zip(&held)).map(|(partition, (mark, held))| {
            let held = held.as_ref().map_err(Clone::clone)?;
            let resume = |from| PartitionState::resume(Arc::clone(&topic), partition, own.service, from);
            Ok(OwnPartition::new(match places.next() {
                Some(Place::At(offset)) if offset == mark.offset => resume(*mark),
                // Lost, or changed: what it has is found out by reading all of it.
                _ if held.low > 0 => {
                    PartitionState::without_front(Arc::clone(&topic), partition, own.service, held.low)
                }
                _ => resume(Reached { offset: held.low, ..Reached::default() }),
            }))
        });
        let partitions = partitions.collect();
        let ends = held.iter().map(|held| Some(held.as_ref().ok()?.high)).collect();
        Ok((Self { partitions, diverged: BTreeMap::new(), records: 0, own_epoch }, ends))
    }

    /// Reads every known partition on, up to these offsets: all of it, or it is an error. One that holds what must not be there
    /// is read no further, and does not fit.
    pub(crate) fn read_to(
        &mut self,
        own: &OwnTopic,
        ends: &[Option<i64>],
        patience: &Patience<'_>,
    ) -> Result<(), CompareError> {
        let span = |((partition, at), end): ((i32, &Result<OwnPartition, TopicError>), &Option<i64>)| {
            let offset = at.as_ref().ok()?.next_offset;
            Some(Span { start: Start { topic: own.topic.to_owned(), partition, offset }, end: (*end)? })
        };
        let spans: Vec<_> = (0..).zip(&self.partitions).zip(ends).filter_map(span).collect();
        read_spans_until(&own.kafka, &spans, SILENCE_MAX, patience.is_over, |record| {
            self.records += 1;
            let partition = record.partition();
            if let Ok(at) = &mut self.partitions[partition as usize]
                && !self.diverged.contains_key(&partition)
                && let Err(error) = at.take(own, record, self.own_epoch)
            {
                self.diverged.insert(partition, error.into());
            }
            Ok::<_, CompareError>(())
        })?;
        for (at, end) in self.partitions.iter_mut().zip(ends) {
            if let (Ok(at), Some(end)) = (at, end) {
                at.next_offset = at.next_offset.max(*end);
            }
        }
        Ok(())
    }

    /// Nobody answers for a partition any more.
    pub(crate) fn lose(&mut self, partition: i32, away: TopicError) {
        self.partitions[partition as usize] = Err(away);
    }

    /// For who begins: nothing may be wrong with any partition that is answered for.
    pub(crate) fn refuse_diverged(&mut self) -> Result<(), CompareError> {
        self.diverged.pop_first().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// A known partition that fits as far as it was read.
    pub(crate) fn fit(&self, partition: i32) -> Option<&OwnPartition> {
        let at = usize::try_from(partition).ok().and_then(|index| self.partitions.get(index))?;
        at.as_ref().ok().filter(|_| !self.diverged.contains_key(&partition))
    }

    /// All of these by their numbers.
    pub(crate) fn fitting(&self) -> impl Iterator<Item = (i32, &OwnPartition)> {
        self.known().filter(|(partition, _)| !self.diverged.contains_key(partition))
    }

    pub(crate) fn why_not(&self, partition: i32) -> Option<String> {
        let at = usize::try_from(partition).ok().and_then(|index| self.partitions.get(index));
        let away = at.and_then(|at| at.as_ref().err()).map(ToString::to_string);
        away.or_else(|| self.diverged.get(&partition).map(ToString::to_string))
    }

    pub(crate) fn whole(&self) -> Result<WholeLog<'_>, TopicError> {
        let partitions = self.partitions.iter().map(|at| at.as_ref().map_err(Clone::clone));
        partitions.collect::<Result<_, _>>().map(WholeLog)
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = (i32, &OwnPartition)> {
        (0..).zip(&self.partitions).filter_map(|(partition, at)| Some((partition, at.as_ref().ok()?)))
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.known().map(|(_, at)| at.state.sequence().epoch()).max().unwrap_or(0)
    }

    /// The first partition whose claim, as far as it was read, is one of these; and by whom.
    pub(crate) fn claimed_by(&self, is: impl Fn(&InForce) -> bool) -> Option<(i32, Writer)> {
        let claims = self.known().filter_map(|(partition, at)| Some((partition, at.claim.as_ref()?)));
        let mut found = claims.filter(|(_, claim)| is(claim));
        found.next().map(|(partition, claim)| (partition, claim.writer.clone()))
    }
}

impl WholeLog<'_> {
    pub(crate) fn partitions(&self) -> &[&OwnPartition] {
        &self.0
    }

    /// Right behind what has been read: once the topic is claimed, behind the claims.
    pub(crate) fn ends(&self) -> Vec<i64> {
        self.0.iter().map(|at| at.next_offset).collect()
    }

    /// How far each partition has been read: right behind its last event.
    pub(crate) fn reached(&self) -> Vec<Reached> {
        self.0.iter().map(|at| at.state.reached()).collect()
    }

    pub(crate) fn tails(&self) -> Vec<Option<Tail>> {
        self.0.iter().map(|at| at.tail()).collect()
    }
}

impl OwnPartition {
    fn new(state: PartitionState) -> Self {
        Self { own_end: state.next_position(), next_offset: state.next_offset(), state, claim: None }
    }

    pub(crate) fn tail(&self) -> Option<Tail> {
        let Reached { next_position, last_id, .. } = self.state.reached();
        Some(Tail { position: next_position.checked_sub(1)?, id: last_id? })
    }

    fn take(&mut self, own: &OwnTopic, record: &Record<'_>, own_epoch: u32) -> Result<(), IncomingError> {
        let view = incoming::view(record);
        let admission = self.state.admit_envelope(&view, || record.headers());
        let Admission { disposition, passing } = admission.map_err(|refusal| IncomingError {
            at: incoming::at(record, &own.kafka.topic_prefix),
            fault: Box::new(refusal.into()),
        })?;
        if passing.begins() {
            self.own_end = 0;
        }
        self.state.advance(passing);
        self.next_offset = self.state.next_offset();
        let epoch = self.state.sequence().epoch();
        match disposition {
            Disposition::Event(_) if epoch <= own_epoch => self.own_end = self.state.next_position(),
            Disposition::Claim(claim) => {
                self.claim = Some(InForce { offset: view.offset, id: claim.id, epoch, writer: claim.writer });
            }
            Disposition::SetAside { why, .. } => {
                own.set_aside.note(own.topic, record.partition(), &view, &why);
            }
            Disposition::Event(_) | Disposition::Repeated | Disposition::Fenced => {}
        }
        Ok(())
    }
}

/// Where the log has what was marked, per partition that is answered for.
fn places(own: &OwnTopic, marks: &[Reached], held: &[Held]) -> Result<Vec<Place>, CompareError> {
    let located = |(partition, (reached, held)): (i32, (&Reached, &Held))| {
        let held = *held.as_ref().ok()?;
        Some(Located { topic: own.topic, partition, service: own.service, reached: *reached, held })
    };
    let located: Vec<_> = (0..).zip(marks.iter().zip(held)).filter_map(located).collect();
    Ok(locate(&own.kafka, &located, &|| false)?)
}
