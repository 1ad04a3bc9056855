//! Where all partitions stand at one moment. Pure: whoever holds the lock asks it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::fencing::{Claimed, Unexplained};
use crate::outbox::positions::partition::{Diverged, Partition, STALLED_AFTER};
use crate::outbox::positions::{Failure, Rest, Snapshot, Wait, shut};

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) partitions: Vec<Partition>,
    /// Deliveries of an earlier writer no longer count.
    pub(super) session: u64,
    /// Epoch of the present writer.
    epoch: u32,
    /// When it began to send.
    sending_since: Option<Instant>,
    pub(super) failed: Option<Failure>,
    /// A partition that was away when the present writer claimed, and is back.
    pub(super) returned: Option<usize>,
    /// What the relay met last, until Kafka acknowledges something of what it is about.
    pub(super) trouble: Option<Failure>,
    /// What is wrong with the topic itself, as long as it is.
    pub(super) log_fault: Option<String>,
    pub(super) stop_by: Option<Instant>,
}

impl State {
    /// Nothing has been compared with the log yet.
    pub(super) fn new(durable: &[u64], noted: &[u64]) -> Self {
        let partition = |(durable, noted): (&u64, &u64)| Partition::new(*durable, *noted);
        Self { partitions: durable.iter().zip(noted).map(partition).collect(), ..Self::default() }
    }

    pub(super) fn set_durable(&mut self, ends: &[u64], now: Instant) {
        for (partition, end) in self.partitions.iter_mut().zip(ends) {
            partition.durable = *end;
            partition.note_waiting(now);
        }
    }

    /// The log was compared: this is what it has, of the partitions that were answered for.
    pub(super) fn set_acknowledged(&mut self, in_log: &[Option<u64>], now: Instant) {
        for (index, (partition, in_log)) in self.partitions.iter_mut().zip(in_log).enumerate() {
            let Some(in_log) = *in_log else { continue };
            if in_log > partition.acknowledged {
                partition.waits_since = None;
            }
            partition.acknowledged = in_log;
            partition.is_compared = true;
            partition.note_waiting(now);
            clear(&mut self.trouble, index);
        }
    }

    pub(super) fn begin_session(&mut self) -> u64 {
        self.session += 1;
        (self.failed, self.returned, self.sending_since, self.epoch) = (None, None, None, 0);
        for partition in &mut self.partitions {
            (partition.expected, partition.unexplained) = (None, None);
            partition.held.clear();
            partition.rest.take_if(|rest| matches!(rest, Rest::Away(_)));
        }
        self.session
    }

    /// The present writer has claimed what is answered for.
    pub(super) fn claimed(&mut self, claimed: &Claimed, now: Instant) {
        (self.epoch, self.sending_since) = (claimed.epoch, Some(now));
        for (partition, end) in self.partitions.iter_mut().zip(&claimed.ends) {
            match end {
                Ok(end) => partition.claimed(*end),
                Err(reason) => partition.not_claimed(reason, now),
            }
        }
    }

    /// These hold what does not go on where the journal does, and end here: they count as not compared.
    pub(super) fn set_diverged(&mut self, ends: &BTreeMap<usize, i64>) {
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            partition.diverged = ends.get(&index).map(|end| Diverged { end: *end, has_changed: false });
            if partition.diverged.is_some() {
                partition.is_compared = false;
                // Why is known now.
                clear(&mut self.trouble, index);
            }
        }
    }

    /// The watch: nobody answers for these partitions. Returns whether one that the relay does without is back.
    pub(super) fn set_unanswered(&mut self, mut unanswered: BTreeMap<usize, String>, now: Instant) -> bool {
        let mut back = None;
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            partition.unanswered = unanswered.remove(&index);
            if partition.unanswered.is_some() {
                partition.ends(None);
            } else if back.is_none() && partition.away().is_some() && partition.may_be_claimed(now) {
                back = Some(index);
            }
        }
        self.returned = self.returned.or(back);
        back.is_some()
    }

    /// A record was acknowledged: whether that moves the prefix, or why the writer is of no more use. One that lies further on than it
    /// must is held until what lies before it was read.
    pub(super) fn delivered(
        &mut self,
        session: u64,
        index: usize,
        position: u64,
        offset: i64,
        now: Instant,
    ) -> Result<bool, String> {
        if self.session != session {
            return Ok(false);
        }
        let next = |of: &&mut Partition| of.acknowledged + of.held.len() as u64 == position;
        let partition = self.partitions.get_mut(index).filter(next);
        let partition = partition
            .ok_or_else(|| format!("partition {index} acknowledged position {position} out of order"))?;
        partition.held.push_back((position, offset));
        if partition.held.len() > 1 {
            partition.is_unexplained(offset + 1);
            return Ok(false);
        }
        Ok(self.take_held(index, now)? > 0)
    }

    fn take_held(&mut self, index: usize, now: Instant) -> Result<usize, String> {
        let before = self.partitions[index].acknowledged;
        let taken = self.partitions[index].take_held(now);
        if self.partitions[index].acknowledged > before {
            clear(&mut self.trouble, index);
        }
        taken.map_err(|reason| format!("partition {index} {reason}"))
    }

    /// The watch: a partition ends here. Returns whether something is to be read for that.
    pub(super) fn ends(&mut self, index: usize, end: i64) -> bool {
        let Some(partition) = self.partitions.get_mut(index) else { return false };
        partition.ends(Some(end));
        let has_more = partition.expected.as_ref().is_some_and(|expected| expected.has_more(end));
        if has_more {
            partition.is_unexplained(end);
        }
        has_more
    }

    /// What lies there was read, and leaves the writer in force; its own records lie at `own`. Returns how many acknowledgements count by
    /// that.
    pub(super) fn explain(
        &mut self,
        session: u64,
        read: &Unexplained,
        own: &[i64],
        now: Instant,
    ) -> Result<usize, String> {
        if self.session != session {
            return Ok(0);
        }
        let partition = &mut self.partitions[read.partition];
        if let Some(expected) = &mut partition.expected {
            expected.explain(read.from..read.to, own);
        }
        partition.unexplained.take_if(|to| *to <= read.to);
        self.take_held(read.partition, now)
    }

    /// Why events do not get through to Kafka: what the relay met, what is wrong with the topic, what stands still. Where the relay
    /// met what is about no partition in particular, all stand still.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        let met = self.trouble.as_ref();
        let is_of_all = met.is_some_and(|trouble| trouble.partition.is_none());
        let still = (!is_of_all).then(|| self.standing_still(now)).flatten();
        let said = [met.map(|trouble| trouble.reason.clone()), self.log_fault.clone(), still];
        let mut said: Vec<_> = said.into_iter().flatten().collect();
        // The relay may have met what is wrong with the topic.
        said.dedup();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Partitions that are not answered for, or acknowledge nothing.
    fn standing_still(&self, now: Instant) -> Option<String> {
        let met_at = self.trouble.as_ref().and_then(|met| usize::try_from(met.partition?).ok());
        let continues = |index: usize| {
            let partition = &self.partitions[index];
            let is_met = self.log_fault.is_some() || met_at == Some(index);
            !is_met && partition.rest.is_none() && partition.continues(now)
        };
        let of_each = (0..self.partitions.len()).map(|index| self.stands_still(index, now)).collect();
        shut::said(of_each, continues)
    }

    fn stands_still(&self, index: usize, now: Instant) -> Option<String> {
        let partition = &self.partitions[index];
        let away = partition.unanswered.clone().or_else(|| partition.away());
        let Some(waited) = partition.stalled(now) else { return away };
        let why = away.map_or_else(String::new, |away| format!(": {away}"));
        let (seconds, unsent) = (waited.as_secs(), partition.unsent());
        Some(format!(
            "partition {index} has acknowledged nothing for {seconds} s; {unsent} events of it wait{why}"
        ))
    }

    /// Partitions of which something waits, and nothing was acknowledged for long, whatever keeps it back; and for how long.
    pub(super) fn stalled(&self, now: Instant) -> BTreeMap<usize, Duration> {
        let all = self.partitions.iter().enumerate();
        all.filter_map(|(index, partition)| Some((index, partition.stalled(now)?))).collect()
    }

    /// The same, of those that the present writer has sent to for as long: why the others wait is told otherwise.
    fn stalled_while_sent(&self, now: Instant) -> BTreeMap<usize, Duration> {
        let since = self.sending_since.filter(|since| now.saturating_duration_since(*since) >= STALLED_AFTER);
        let mut stalled = since.map(|_| self.stalled(now)).unwrap_or_default();
        stalled.retain(|index, _| self.partitions[*index].rest.is_none());
        stalled
    }

    /// Partitions of which nothing is sent until an operator mends what is wrong.
    pub(super) fn halted(&self) -> usize {
        let halted = |partition: &&Partition| partition.halted().is_some() || partition.diverged.is_some();
        self.partitions.iter().filter(halted).count()
    }

    pub(super) fn unsent(&self) -> u64 {
        self.partitions.iter().map(Partition::unsent).sum()
    }

    /// With how many events under way a partition is worth waking up for: where one is full, some more deliveries than one. The
    /// relay waits for deliveries where that is what keeps it from sending.
    pub(super) fn begin_waiting(&mut self, wait: Wait<'_>) -> Vec<u64> {
        let limit = |(partition, sent): (&mut Partition, &u64)| {
            partition.is_awaited = sent.saturating_sub(partition.acknowledged) >= wait.in_flight_max;
            if partition.is_awaited { wait.in_flight_max / 2 + 1 } else { wait.in_flight_max }
        };
        self.partitions.iter_mut().zip(wait.sent).map(limit).collect()
    }

    pub(super) fn is_awaited(&self, index: usize) -> bool {
        self.stop_by.is_some() || self.partitions[index].is_awaited
    }

    pub(super) fn something_to_do(&self, wait: Wait<'_>, limits: &[u64]) -> bool {
        let to_do = |(partition, (sent, limit)): (&Partition, (&u64, &u64))| {
            let under_way = sent.saturating_sub(partition.acknowledged);
            let to_send = under_way < *limit && partition.durable > *sent && partition.rest.is_none();
            to_send || partition.unexplained.is_some()
        };
        let to_do = self.partitions.iter().zip(wait.sent.iter().zip(limits)).any(to_do);
        let drained = self.stop_by.is_some() && self.is_drained();
        self.failed.is_some() || self.returned.is_some() || to_do || drained
    }

    pub(super) fn is_drained(&self) -> bool {
        self.partitions.iter().all(|partition| partition.rest.is_some() || partition.unsent() == 0)
    }

    /// Whether the service stops, and its time is over or there is nothing to wait for.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.stop_by.is_some_and(|by| by <= now || self.is_drained())
    }

    /// How long to wait until `deadline`, but not beyond the time by which the service stops.
    pub(super) fn time_left(&self, deadline: Instant, now: Instant) -> Duration {
        let first = self.stop_by.map_or(deadline, |stop_by| deadline.min(stop_by));
        first.saturating_duration_since(now)
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let all = || self.partitions.iter().enumerate();
        let behind = |partition: &Partition| partition.expected.as_ref()?.behind;
        let unexplained = |(partition, of): (usize, &Partition)| {
            Some(Unexplained { partition, from: of.expected.as_ref()?.next, to: of.unexplained? })
        };
        Snapshot {
            durable: self.partitions.iter().map(|partition| partition.durable).collect(),
            acknowledged: self.partitions.iter().map(|partition| partition.acknowledged).collect(),
            epoch: self.epoch,
            behind: self.partitions.iter().map(behind).collect(),
            session: self.session,
            unexplained: all().find_map(unexplained),
            failed: self.failed.clone(),
            returned: self.returned,
            resting: all().filter_map(|(index, partition)| Some((index, partition.rest.clone()?))).collect(),
            stalled: self.stalled_while_sent(now),
            is_drained: self.is_drained(),
            stop_by: self.stop_by,
        }
    }
}

/// What was met is over, unless it is about another partition.
fn clear(trouble: &mut Option<Failure>, index: usize) {
    trouble.take_if(|trouble| trouble.is_about(index));
}
