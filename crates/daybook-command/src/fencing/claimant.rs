//! Claiming: the own topic's partitions become this process's to write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use daybook_event::claim::{self, Claim, Writer};
use daybook_event::envelope::{CONTENT_TYPE, EPOCH_MAX, Source};
use daybook_journal::Reader;
use daybook_kafka::topics::{self, Held, TopicError};
use daybook_kafka::{LogError, Outgoing, Writer as LogWriter};
use uuid::Uuid;

use crate::commit::seal::Ambient;
use crate::fencing::own_log::{InForce, OwnPartition};
use crate::fencing::{ClaimError, Fenced, Instance, OwnLog, Patience};
use crate::reconcile::{self, CompareError, OwnTopic};

/// How long Kafka may take to acknowledge claims.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(30);
/// The same of a partition that did not the last time, and of all others once one has let this process wait in vain: nothing
/// is sent meanwhile.
const AGAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked meanwhile whether the service stops.
const STOP_CHECK_PAUSE: Duration = Duration::from_millis(100);
/// Where the system tells the machine's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Who claims for a service.
pub(crate) struct Claimant {
    pub(crate) own: OwnTopic,
    /// Id of the cluster that it was begun with.
    pub(crate) cluster: String,
    pub(crate) instance: Instance,
    pub(crate) ambient: Arc<dyn Ambient>,
    /// Partitions that took no claim the last time, although their leaders answer: they are claimed last.
    pub(crate) took_none: BTreeSet<i32>,
    /// Ids of the claims that this process has sent with the epoch that the instance has noted last. Another one with that epoch
    /// is a copy's.
    pub(crate) sent: BTreeSet<Uuid>,
}

/// Partitions that are this process's to write.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    /// Epoch that its events have to carry.
    pub(crate) epoch: u32,
    /// Per partition: the offset right behind the claim, where the next record has to land; or why it is not claimed.
    pub(crate) ends: Vec<Result<i64, String>>,
}

type Acknowledgements = Receiver<(i32, Result<i64, String>)>;

/// Claims that are waited for together.
struct ClaimRound<'a> {
    epoch: u32,
    partitions: &'a [i32],
    waits: Duration,
}

struct Acknowledged {
    partition: i32,
    offset: i64,
    id: Uuid,
}

impl Claimant {
    /// Who has never claimed begins a log, unless its journal has events already. Who recovers finds out which log it is.
    pub(crate) fn begin_log(&mut self, journal: Option<&Reader>, recovers: bool) {
        let has_events = |journal| reconcile::counters(journal).iter().any(|counter| counter.next > 0);
        if self.instance.epoch() == 0 && !recovers && !journal.is_some_and(has_events) {
            self.instance.begin_log();
        }
    }

    /// Refuses if any partition is written by another instance.
    pub(crate) fn refuse_others(&self, log: &OwnLog) -> Result<(), ClaimError> {
        let other = log.claimed_by(|claim| claim.writer.instance != self.instance.id());
        other.map_or(Ok(()), |(partition, writer)| {
            Err(ClaimError::Other { topic: self.own.full_name(), partition, writer })
        })
    }

    /// Who has claimed the topic since this process did, if anybody has.
    pub(crate) fn fenced(&self, log: &OwnLog) -> Option<Fenced> {
        let by = log.claimed_by(|claim| supersedes(claim, self.instance.epoch(), &self.sent));
        by.map(|(partition, by)| self.by(partition, by))
    }

    fn by(&self, partition: i32, by: Writer) -> Fenced {
        let copy = by.instance == self.instance.id();
        Fenced { topic: self.own.full_name(), partition, by, copy }
    }

    /// Claims all known partitions that fit, and reads on in `log` up to the claims. The first one that is answered for goes first: of
    /// several who claim at once, whoever is in force there goes on, and the others have claimed nothing else. A partition
    /// that nobody answers for any more, or that takes no claim, is lost from `log`.
    pub(crate) fn claim(&mut self, log: &mut OwnLog, patience: &Patience<'_>) -> Result<Claimed, ClaimError> {
        let epoch = self.instance.epoch().max(log.epoch());
        if epoch >= EPOCH_MAX {
            return Err(ClaimError::NoEpochLeft { topic: self.own.full_name() });
        }
        let fit: Vec<i32> = log.fitting().map(|(partition, _)| partition).collect();
        if fit.is_empty() {
            // An epoch tells copies of the directory apart, so none is used up where nothing is claimed.
            return Ok(Claimed { epoch: self.instance.epoch(), ends: self.ends(log) });
        }
        let epoch = epoch + 1;
        self.instance.note(epoch)?;
        self.sent.clear();
        let (acknowledged, acknowledgements) = mpsc::channel();
        let mut kafka = self.own.kafka.clone();
        // A claim is waited for, and nothing comes that could be sent along with it.
        kafka.options.push(("linger.ms".to_owned(), "0".to_owned()));
        // Nor is there an order to keep: one that is refused must not end the writer of the others.
        kafka.options.push(("enable.gapless.guarantee".to_owned(), "false".to_owned()));
        let writer = LogWriter::open(&kafka, move |delivery| {
            let result = delivery.result.map_err(|error| error.to_string());
            // An error means that nobody waits any more.
            let _ = acknowledged.send((delivery.partition, result));
        })?;
        let (slow, others): (Vec<i32>, Vec<i32>) =
            fit.into_iter().partition(|partition| self.took_none.contains(partition));
        self.took_none.clear();
        let (mut has_first, mut waits) = (false, CLAIM_TIMEOUT);
        for mut left in [others, slow] {
            while !left.is_empty() {
                let rest = left.split_off(if has_first { left.len() } else { 1 });
                let round = ClaimRound { epoch, partitions: &left, waits };
                let some = self.claim_some(log, &round, &writer, &acknowledgements, patience)?;
                has_first |= some;
                waits = if some { waits } else { AGAIN_TIMEOUT };
                left = rest;
            }
            waits = if has_first { AGAIN_TIMEOUT } else { waits };
        }
        if !has_first {
            let away = log.partitions.iter().find_map(|at| at.as_ref().err()).map(ToString::to_string);
            return Err(ClaimError::NoneTaken { reason: away.unwrap_or_default() });
        }
        tracing::info!(topic = self.own.topic, epoch, instance = %self.instance.id(), "this process writes the topic");
        for away in log.partitions.iter().filter_map(|at| at.as_ref().err()) {
            tracing::warn!(epoch, "one partition is not claimed until it is answered for: {away}");
        }
        Ok(Claimed { epoch, ends: self.ends(log) })
    }

    /// Right behind the claims, once all that fit are claimed.
    fn ends(&self, log: &OwnLog) -> Vec<Result<i64, String>> {
        let end = |partition| match log.fit(partition) {
            Some(at) => Ok(at.next_offset),
            None => Err(log.why_not(partition).unwrap_or_default()),
        };
        (0..self.own.partitions).map(end).collect()
    }

    /// Returns whether any of these is claimed; those that are not are lost from the log.
    fn claim_some(
        &mut self,
        log: &mut OwnLog,
        round: &ClaimRound<'_>,
        writer: &LogWriter,
        acknowledgements: &Acknowledgements,
        patience: &Patience<'_>,
    ) -> Result<bool, ClaimError> {
        let mut ids = BTreeMap::new();
        for partition in round.partitions {
            match self.send(writer, round.epoch, *partition) {
                Ok(id) => drop(ids.insert(*partition, id)),
                Err(ClaimError::Send(error)) => self.lose_refused(log, *partition, error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let answers = wait(acknowledgements, &ids, round.waits, patience)?;
        let silent = ids.keys().filter(|partition| !answers.contains_key(partition)).copied();
        self.lose_silent(log, &silent.collect::<Vec<_>>(), round.waits, patience)?;
        let mut acknowledged = Vec::new();
        for (partition, answer) in answers {
            match (answer, ids.get(&partition)) {
                (Ok(offset), Some(id)) => acknowledged.push(Acknowledged { partition, offset, id: *id }),
                (Ok(_), None) => {}
                (Err(reason), _) => self.lose_refused(log, partition, reason),
            }
        }
        self.read_back(log, round.epoch, &acknowledged, patience)?;
        Ok(!acknowledged.is_empty())
    }

    /// What refuses its claim says nothing of the others.
    fn lose_refused(&mut self, log: &mut OwnLog, partition: i32, reason: String) {
        self.took_none.insert(partition);
        log.lose(partition, TopicError::RefusesWrites { topic: self.own.full_name(), partition, reason });
    }

    /// What has not acknowledged its claim may have lost its leader meanwhile, or too many of its replicas to take writes: then
    /// its leader answers all the same. A claim that lands there later does no harm: it is our own, and the next one has
    /// a higher epoch.
    fn lose_silent(
        &mut self,
        log: &mut OwnLog,
        silent: &[i32],
        waited: Duration,
        patience: &Patience<'_>,
    ) -> Result<(), ClaimError> {
        if silent.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = silent.iter().map(|partition| (self.own.topic, *partition)).collect();
        let held = topics::held_until(&self.own.kafka, &all, patience.answer_max, patience.is_over);
        let held = held.map_err(CompareError::from)?;
        for (partition, held) in silent.iter().zip(held) {
            if held.is_ok() {
                self.took_none.insert(*partition);
            }
            log.lose(*partition, why_silent(&self.own.full_name(), *partition, held, waited));
        }
        Ok(())
    }

    fn send(&mut self, writer: &LogWriter, epoch: u32, partition: i32) -> Result<Uuid, ClaimError> {
        let claim = Claim {
            id: self.ambient.new_id(),
            source: Source { service: self.own.service.into(), partition },
            epoch,
            writer: Writer {
                instance: self.instance.id(),
                host: host_name(),
                claimed_at: self.ambient.now(),
            },
        };
        let unsealed = |error: serde_json::Error| ClaimError::Unsealed { reason: error.to_string() };
        let value = claim::seal(&claim).map_err(unsealed)?;
        self.sent.insert(claim.id);
        let key = self.instance.id().to_string();
        let headers = [("content-type", CONTENT_TYPE.as_bytes())];
        let (topic, key, value) = (self.own.topic, key.as_bytes(), &value[..]);
        writer.send(Outgoing { topic, partition, key, value, headers: &headers, tag: 0 })?;
        Ok(claim.id)
    }

    /// Reads the own claims back from where they were acknowledged, and every record before them. What was not read back
    /// is not in force: another writer's claim may lie before it.
    fn read_back(
        &self,
        log: &mut OwnLog,
        epoch: u32,
        claims: &[Acknowledged],
        patience: &Patience<'_>,
    ) -> Result<(), ClaimError> {
        let known = |at: &Result<OwnPartition, TopicError>| Some(at.as_ref().ok()?.next_offset);
        let mut ends: Vec<_> = log.partitions.iter().map(known).collect();
        for claim in claims {
            let end = &mut ends[claim.partition as usize];
            if end.is_some_and(|end| claim.offset < end) {
                return Err(ClaimError::WentBack { partition: claim.partition });
            }
            *end = Some(claim.offset + 1);
        }
        log.read_to(&self.own, &ends, patience)?;
        // What landed before the claim may be what must not be there: then nothing of it is sent.
        let claims = claims.iter().filter(|claim| log.fit(claim.partition).is_some());
        for Acknowledged { partition, offset, id } in claims {
            let found = log.partitions[*partition as usize].as_ref().ok().and_then(|at| at.claim.as_ref());
            match standing(found, *offset, *id, epoch) {
                Standing::InForce => {}
                Standing::Lost(by) => {
                    return Err(ClaimError::Lost(Box::new(self.by(*partition, by.clone()))));
                }
                Standing::NotThere => {
                    return Err(ClaimError::NotThere { partition: *partition, offset: *offset });
                }
            }
        }
        Ok(())
    }
}

/// Whether a claim shuts this process out, which has claimed with `epoch`. Of one epoch, what it has not sent is somebody
/// else's, be it a copy of its directory: each has claimed what the other one did not see. A partition that it could not claim yet may
/// still have a claim of the one whose place it took, or of its own predecessor.
fn supersedes(claim: &InForce, epoch: u32, sent: &BTreeSet<Uuid>) -> bool {
    claim.epoch > epoch || (claim.epoch == epoch && !sent.contains(&claim.id))
}

/// Why a partition has not acknowledged its claim.
fn why_silent(topic: &str, partition: i32, held: Held, waited: Duration) -> TopicError {
    let takes_none =
        |_| TopicError::TakesNoWrites { topic: topic.to_owned(), partition, waited_ms: waited.as_millis() };
    held.map_or_else(|away| away, takes_none)
}

#[derive(Debug, PartialEq, Eq)]
enum Standing<'a> {
    InForce,
    /// This one came first, with the same epoch or a higher one.
    Lost(&'a Writer),
    NotThere,
}

/// `found` is the claim that is in force once everything up to the own one has been read.
fn standing(found: Option<&InForce>, offset: i64, id: Uuid, epoch: u32) -> Standing<'_> {
    match found {
        Some(found) if found.id == id && found.offset == offset => Standing::InForce,
        Some(found) if found.id != id && found.epoch >= epoch => Standing::Lost(&found.writer),
        _ => Standing::NotThere,
    }
}

/// What Kafka answered to claims in time, by partition: where they lie, or why they are refused.
fn wait(
    acknowledgements: &Acknowledgements,
    claims: &BTreeMap<i32, Uuid>,
    waits: Duration,
    patience: &Patience<'_>,
) -> Result<BTreeMap<i32, Result<i64, String>>, ClaimError> {
    let deadline = Instant::now() + waits;
    let mut answers = BTreeMap::new();
    while answers.len() < claims.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        match acknowledgements.recv_timeout(left.min(STOP_CHECK_PAUSE)) {
            // Of an earlier one, which was not waited for any longer.
            Ok((partition, _)) if !claims.contains_key(&partition) => {}
            Ok((partition, Ok(offset))) if offset < 0 => {
                answers.insert(partition, Err("Kafka does not say where the claim lies".to_owned()));
            }
            Ok((partition, answer)) => drop(answers.insert(partition, answer)),
            Err(RecvTimeoutError::Timeout) if (patience.is_over)() => return Err(LogError::GivenUp.into()),
            Err(RecvTimeoutError::Timeout) if left > STOP_CHECK_PAUSE => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(answers)
}

fn host_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force(offset: i64, id: u128, epoch: u32) -> InForce {
        let writer = Writer {
            instance: Uuid::nil(),
            host: "host".to_owned(),
            claimed_at: jiff::Timestamp::UNIX_EPOCH,
        };
        InForce { offset, id: Uuid::from_u128(id), epoch, writer }
    }

    #[test]
    fn a_claim_is_in_force_only_where_it_was_read_back() {
        let own = |found: Option<&InForce>| match standing(found, 7, Uuid::from_u128(1), 4) {
            Standing::InForce => "in force",
            Standing::Lost(_) => "lost",
            Standing::NotThere => "not there",
        };
        assert_eq!(own(Some(&in_force(7, 1, 4))), "in force");
        // What lies before it was not read, so nobody knows.
        assert_eq!(own(None), "not there");
        assert_eq!(own(Some(&in_force(3, 2, 3))), "not there");
        assert_eq!(own(Some(&in_force(6, 1, 4))), "not there");
        for epoch in [4, 5] {
            assert_eq!(own(Some(&in_force(3, 2, epoch))), "lost");
        }
    }

    #[test]
    fn a_partition_that_takes_no_claim_is_lost_whatever_its_leader_says() {
        let silent = |held| why_silent("toys.events", 1, held, AGAIN_TIMEOUT);
        let takes_none = silent(Ok(topics::Watermarks { low: 0, high: 7 }));
        assert!(takes_none.is_away(), "the others continue");
        let said = takes_none.to_string();
        assert!(
            said.contains("partition 1 takes no writes") && said.contains("min.insync.replicas"),
            "{said}"
        );
        let missing = TopicError::Missing { topic: "toys.events".to_owned() };
        assert_eq!(silent(Err(missing.clone())), missing);
    }

    #[test]
    fn of_one_epoch_what_this_process_has_not_sent_is_somebody_elses_and_of_an_earlier_one_nothing_counts() {
        let sent = BTreeSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]);
        let by = |epoch, id| supersedes(&in_force(0, id, epoch), 4, &sent);
        assert!(!by(3, 8) && !by(3, 1) && !by(4, 1) && !by(4, 2));
        assert!(by(4, 8) && by(5, 8) && by(5, 1));
    }
}
