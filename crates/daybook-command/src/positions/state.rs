//! Where all partitions stand at one moment. Pure: whoever holds the lock asks it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::positions::shut::{self, Absent, STALLED_AFTER, Standing};
use crate::positions::{Failure, Look, Rest, Wait, distance, distance_but};
use crate::writer::{Claimed, ExpectedOffsets, Lies, Unexplained};

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) durable: Vec<u64>,
    pub(super) acknowledged: Vec<u64>,
    /// Partitions that were not compared with the log since this process began: it may have other events there.
    pub(super) uncompared: BTreeSet<usize>,
    /// Deliveries of an earlier writer no longer count.
    pub(super) session: u64,
    pub(super) expected: ExpectedOffsets,
    /// Up to where partitions are to be read, because they hold what the present writer did not send.
    pub(super) unexplained: BTreeMap<usize, i64>,
    /// Positions and offsets of records that were acknowledged behind that: they count once it is known to leave the writer in force.
    held: BTreeMap<usize, VecDeque<(u64, i64)>>,
    standing: Standing,
    /// When the present writer began to send.
    sending_since: Option<Instant>,
    pub(super) failed: Option<Failure>,
    /// A partition that was away when the present writer claimed, and is back.
    pub(super) returned: Option<usize>,
    pub(super) resting: BTreeMap<usize, Rest>,
    pub(super) absent: Absent,
    /// Partitions that nobody answers for at present, in the words of the watch.
    pub(super) unanswered: BTreeMap<usize, String>,
    /// What the relay met last, until Kafka acknowledges something of what it is about.
    pub(super) trouble: Option<Failure>,
    /// What is wrong with the topic itself, as long as it is.
    pub(super) log_fault: Option<String>,
    /// Partitions of which the relay waits for deliveries.
    pub(super) awaited: Vec<bool>,
    pub(super) stop_by: Option<Instant>,
}

impl State {
    /// Nothing has been compared with the log yet.
    pub(super) fn new(durable: Vec<u64>, noted: Vec<u64>) -> Self {
        let partitions = noted.len();
        Self {
            durable,
            acknowledged: noted,
            uncompared: (0..partitions).collect(),
            session: 0,
            expected: ExpectedOffsets::default(),
            unexplained: BTreeMap::new(),
            held: BTreeMap::new(),
            standing: Standing::new(partitions),
            sending_since: None,
            failed: None,
            returned: None,
            resting: BTreeMap::new(),
            absent: Absent::default(),
            unanswered: BTreeMap::new(),
            trouble: None,
            log_fault: None,
            awaited: vec![false; partitions],
            stop_by: None,
        }
    }

    pub(super) fn set_durable(&mut self, ends: Vec<u64>, now: Instant) {
        self.durable = ends;
        self.standing.note(&self.durable, &self.acknowledged, now);
    }

    /// The log was compared: this is what it has, of the partitions that somebody answered for.
    pub(super) fn set_acknowledged(&mut self, in_log: &[Option<u64>], now: Instant) {
        for (partition, in_log) in in_log.iter().enumerate() {
            let Some(in_log) = in_log else { continue };
            if *in_log > self.acknowledged[partition] {
                self.standing.moved(partition, false, now);
            }
            self.acknowledged[partition] = *in_log;
            self.uncompared.remove(&partition);
            self.clear_trouble(partition);
        }
        self.standing.note(&self.durable, &self.acknowledged, now);
    }

    pub(super) fn begin_session(&mut self) -> u64 {
        self.session += 1;
        self.failed = None;
        self.returned = None;
        self.expected = ExpectedOffsets::default();
        self.unexplained.clear();
        self.held.clear();
        self.sending_since = None;
        self.resting.retain(|_, rest| matches!(rest, Rest::Halted(_)));
        self.session
    }

    /// The present writer has claimed what somebody answers for.
    pub(super) fn claimed(&mut self, claimed: &Claimed, now: Instant) {
        self.expected = ExpectedOffsets::behind(claimed);
        self.sending_since = Some(now);
        for (partition, end) in claimed.ends.iter().enumerate() {
            if let Err(reason) = end {
                self.resting.entry(partition).or_insert_with(|| Rest::Away(reason.clone()));
                self.absent.insert(partition, !self.unanswered.contains_key(&partition), now);
            } else {
                self.absent.remove(partition);
            }
        }
    }

    /// These hold what does not go on where the journal does, and end here: they count as not compared.
    pub(super) fn set_unfit(&mut self, ends: &BTreeMap<usize, i64>) {
        self.uncompared.extend(ends.keys());
        // Why is known now.
        ends.keys().for_each(|partition| self.clear_trouble(*partition));
        self.absent.set_unfit(ends.iter().map(|(partition, end)| (*partition, *end)));
    }

    /// The watch: nobody answers for these partitions. Returns whether one that the relay does without is back.
    pub(super) fn set_unanswered(&mut self, unanswered: BTreeMap<usize, String>, now: Instant) -> bool {
        unanswered.keys().for_each(|partition| self.absent.ends(*partition, None));
        let is_back = |(partition, rest): (&usize, &Rest)| {
            let is_away = matches!(rest, Rest::Away(_)) && !unanswered.contains_key(partition);
            (is_away && self.absent.may_be_claimed(*partition, now)).then_some(*partition)
        };
        let back = self.resting.iter().find_map(is_back);
        self.unanswered = unanswered;
        self.returned = self.returned.or(back);
        back.is_some()
    }

    /// A record was acknowledged: whether that moves the prefix, or why the writer is of no more use. One that lies further on than it
    /// must is held until what lies before it was read.
    pub(super) fn delivered(
        &mut self,
        session: u64,
        partition: usize,
        position: u64,
        offset: i64,
        now: Instant,
    ) -> Result<bool, String> {
        if self.session != session {
            return Ok(false);
        }
        let held = self.held.get(&partition).map_or(0, VecDeque::len) as u64;
        if self.acknowledged.get(partition).map(|acknowledged| acknowledged + held) != Some(position) {
            return Err(format!("partition {partition} acknowledged position {position} out of order"));
        }
        self.held.entry(partition).or_default().push_back((position, offset));
        if held > 0 {
            self.is_unexplained(partition, offset + 1);
            return Ok(false);
        }
        Ok(self.take_held(partition, now)? > 0)
    }

    /// Takes acknowledgements that were held, as far as what lies before them is known; how many.
    fn take_held(&mut self, partition: usize, now: Instant) -> Result<usize, String> {
        let mut taken = 0;
        while let Some((position, offset)) = self.held.get(&partition).and_then(|held| held.front().copied())
        {
            if let Lies::Further(Unexplained { to, .. }) = self.expected.delivered(partition, offset)? {
                self.is_unexplained(partition, to);
                return Ok(taken);
            }
            self.acknowledged[partition] = position + 1;
            self.standing.moved(partition, self.durable[partition] > position + 1, now);
            self.clear_trouble(partition);
            self.held.entry(partition).or_default().pop_front();
            taken += 1;
        }
        self.held.remove(&partition);
        Ok(taken)
    }

    fn is_unexplained(&mut self, partition: usize, to: i64) {
        let known = self.unexplained.entry(partition).or_insert(to);
        *known = to.max(*known);
    }

    /// The watch: a partition ends here. Returns whether something is to be read for that.
    pub(super) fn ends(&mut self, partition: usize, end: i64) -> bool {
        let Some(Unexplained { to, .. }) = self.expected.ends(partition, end) else { return false };
        self.is_unexplained(partition, to);
        true
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
        self.expected.explain(read, own);
        if self.unexplained.get(&read.partition).is_some_and(|to| *to <= read.to) {
            self.unexplained.remove(&read.partition);
        }
        self.take_held(read.partition, now)
    }

    fn first_unexplained(&self) -> Option<Unexplained> {
        let (partition, to) = self.unexplained.first_key_value().map(|(partition, to)| (*partition, *to))?;
        let from = self.expected.next(partition)?;
        Some(Unexplained { partition, from, to })
    }

    /// What is about another partition stays.
    fn clear_trouble(&mut self, partition: usize) {
        let is_over = |trouble: &mut Failure| {
            trouble.partition.is_none_or(|about| usize::try_from(about) == Ok(partition))
        };
        self.trouble.take_if(is_over);
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
        let goes_on = |partition| {
            self.log_fault.is_none()
                && met_at != Some(partition)
                && !self.resting.contains_key(&partition)
                && self.standing.goes_on(partition, now)
        };
        let of_each = (0..self.durable.len()).map(|partition| self.stands_still(partition, now)).collect();
        shut::said(of_each, goes_on)
    }

    fn stands_still(&self, partition: usize, now: Instant) -> Option<String> {
        let away = self.unanswered.get(&partition).cloned().or_else(|| self.is_away(partition));
        let Some(waited) = self.standing.stalled(partition, now) else { return away };
        let why = away.map_or_else(String::new, |away| format!(": {away}"));
        let (seconds, unsent) =
            (waited.as_secs(), self.durable[partition].saturating_sub(self.acknowledged[partition]));
        Some(format!(
            "partition {partition} has acknowledged nothing for {seconds} s; {unsent} events of it wait{why}"
        ))
    }

    /// Why the present writer does without a partition, if it does.
    pub(super) fn is_away(&self, partition: usize) -> Option<String> {
        match self.resting.get(&partition)? {
            Rest::Away(reason) => Some(reason.clone()),
            Rest::Halted(_) => None,
        }
    }

    /// Partitions of which something waits, and nothing was acknowledged for long, whatever keeps it back; and for how long.
    pub(super) fn stalled(&self, now: Instant) -> BTreeMap<usize, Duration> {
        let stalled = |partition| Some((partition, self.standing.stalled(partition, now)?));
        (0..self.durable.len()).filter_map(stalled).collect()
    }

    /// The same, of those that the present writer has sent to for as long: why the others wait is told otherwise.
    fn stalled_while_sent(&self, now: Instant) -> BTreeMap<usize, Duration> {
        let since = self.sending_since.filter(|since| now.saturating_duration_since(*since) >= STALLED_AFTER);
        let mut stalled = since.map(|_| self.stalled(now)).unwrap_or_default();
        stalled.retain(|partition, _| !self.resting.contains_key(partition));
        stalled
    }

    /// Partitions of which nothing is sent until somebody mends what is wrong.
    pub(super) fn halted(&self) -> usize {
        let is_halted = |partition: &usize| {
            matches!(self.resting.get(partition), Some(Rest::Halted(_))) || self.absent.is_unfit(*partition)
        };
        (0..self.durable.len()).filter(is_halted).count()
    }

    pub(super) fn unsent(&self) -> u64 {
        distance(&self.acknowledged, &self.durable)
    }

    /// Whether so many events of a partition are under way that no more may be sent.
    fn is_full(&self, partition: usize, wait: Wait<'_>) -> bool {
        wait.sent[partition].saturating_sub(self.acknowledged[partition]) >= wait.in_flight_max
    }

    /// With how many events under way a partition is worth waking up for: where one is full, some more deliveries than one.
    pub(super) fn limits(&self, wait: Wait<'_>) -> Vec<u64> {
        let limit = |partition| match self.is_full(partition, wait) {
            true => wait.in_flight_max / 2 + 1,
            false => wait.in_flight_max,
        };
        (0..wait.sent.len()).map(limit).collect()
    }

    /// The relay waits, and for deliveries where that is what keeps it from sending.
    pub(super) fn begin_waiting(&mut self, wait: Wait<'_>) {
        self.awaited = (0..wait.sent.len()).map(|partition| self.is_full(partition, wait)).collect();
    }

    pub(super) fn is_awaited(&self, partition: usize) -> bool {
        self.stop_by.is_some() || self.awaited.get(partition) == Some(&true)
    }

    pub(super) fn something_to_do(&self, wait: Wait<'_>, limits: &[u64]) -> bool {
        let to_send = |(partition, (sent, limit)): (usize, (&u64, &u64))| {
            let under_way = sent.saturating_sub(self.acknowledged[partition]);
            under_way < *limit && self.durable[partition] > *sent && !self.resting.contains_key(&partition)
        };
        let to_send = wait.sent.iter().zip(limits).enumerate().any(to_send);
        let drained = self.stop_by.is_some() && self.is_drained();
        let is_told = self.failed.is_some() || self.returned.is_some() || !self.unexplained.is_empty();
        is_told || to_send || drained
    }

    pub(super) fn is_drained(&self) -> bool {
        distance_but(&self.resting, &self.acknowledged, &self.durable) == 0
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

    pub(super) fn look(&self, now: Instant) -> Look {
        Look {
            durable: self.durable.clone(),
            acknowledged: self.acknowledged.clone(),
            places: self.expected.places(),
            session: self.session,
            unexplained: self.first_unexplained(),
            failed: self.failed.clone(),
            returned: self.returned,
            resting: self.resting.clone(),
            stalled: self.stalled_while_sent(now),
            stop_by: self.stop_by,
        }
    }
}
