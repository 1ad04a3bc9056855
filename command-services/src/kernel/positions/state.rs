//! Where all partitions stand at one moment. Pure: whoever holds the lock asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::absent::Absent;
use super::look::{Failure, Look, Rest, Wait, distance, distance_but};
use crate::kernel::writer::{Claimed, Lying};

/// A partition of which something is under way, and nothing was acknowledged for so long, is named.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Where all partitions stand.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) durable: Vec<u64>,
    pub(super) acknowledged: Vec<u64>,
    /// Partitions that were not compared with the log since this process began: it may have other events there.
    pub(super) uncompared: BTreeSet<usize>,
    /// Deliveries of an earlier writer no longer count.
    pub(super) session: u64,
    /// Where the present writer's records come to lie.
    pub(super) lying: Lying,
    /// Since when a partition has acknowledged nothing, as far as something of it is under way.
    pub(super) under_way_since: Vec<Option<Instant>>,
    pub(super) failed: Option<Failure>,
    /// A partition that was away when the present writer claimed, and is back.
    pub(super) returned: Option<usize>,
    /// Partitions of which nothing is sent.
    pub(super) resting: BTreeMap<usize, Rest>,
    /// Partitions that were not claimed by the last writer.
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
            lying: Lying::default(),
            under_way_since: vec![None; partitions],
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

    /// The log was compared: this is what it has, of the partitions that somebody answered for.
    pub(super) fn set_acknowledged(&mut self, in_log: &[Option<u64>]) {
        for (partition, in_log) in in_log.iter().enumerate() {
            let Some(in_log) = in_log else { continue };
            self.acknowledged[partition] = *in_log;
            self.uncompared.remove(&partition);
            self.clear_trouble(partition);
        }
    }

    /// A new writer begins; its number.
    pub(super) fn begin_session(&mut self) -> u64 {
        self.session += 1;
        self.failed = None;
        self.returned = None;
        self.lying = Lying::default();
        self.under_way_since.fill(None);
        self.resting.retain(|_, rest| matches!(rest, Rest::Halted(_)));
        self.session
    }

    /// The present writer has claimed what somebody answers for.
    pub(super) fn claimed(&mut self, claimed: &Claimed, now: Instant) {
        self.lying = Lying::behind(claimed);
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

    /// More of a partition is on its way, or less.
    pub(super) fn sending(&mut self, partition: usize, events: i64, now: Instant) {
        if self.lying.under_way(partition) <= 0
            && let Some(since) = self.under_way_since.get_mut(partition)
        {
            *since = Some(now);
        }
        self.lying.sending(partition, events);
    }

    /// A record was acknowledged: whether that moves the prefix, or why the writer is of no more use.
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
        if self.acknowledged.get(partition) != Some(&position) {
            return Err(format!("partition {partition} acknowledged position {position} out of order"));
        }
        self.lying.delivered(partition, offset)?;
        self.acknowledged[partition] = position + 1;
        self.under_way_since[partition] = Some(now);
        self.clear_trouble(partition);
        Ok(true)
    }

    /// What is about another partition stays.
    fn clear_trouble(&mut self, partition: usize) {
        let is_over = |trouble: &mut Failure| {
            trouble.partition.is_none_or(|about| usize::try_from(about) == Ok(partition))
        };
        self.trouble.take_if(is_over);
    }

    /// What is wrong if a partition ends here: more than the present writer has sent is somebody else's.
    pub(super) fn end_fault(&self, partition: usize, end: i64) -> Option<String> {
        let most = self.lying.end_max(partition).filter(|most| end > *most)?;
        Some(format!(
            "partition {partition} ends at offset {end}, and at {most} with all that was sent: somebody else \
             writes it, or what an earlier writer of this service had sent came late"
        ))
    }

    /// Why nothing gets through to Kafka, if the relay knows; else what stands still; else what is wrong with the topic.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        let trouble = self.trouble.as_ref().map(|trouble| trouble.reason.clone());
        trouble.or_else(|| self.standing_still(now)).or_else(|| self.log_fault.clone())
    }

    /// Partitions that are not answered for, or acknowledge nothing.
    fn standing_still(&self, now: Instant) -> Option<String> {
        let stalled = self.stalled(now);
        let said = (0..self.durable.len()).filter_map(|partition| {
            let away = self.unanswered.get(&partition).cloned().or_else(|| self.is_away(partition));
            let Some(waited) = stalled.get(&partition) else { return away };
            let why = away.map_or_else(String::new, |away| format!(": {away}"));
            let (seconds, unsent) =
                (waited.as_secs(), self.durable[partition].saturating_sub(self.acknowledged[partition]));
            Some(format!(
                "partition {partition} has acknowledged nothing for {seconds} s; {unsent} events of it wait, the other partitions go on{why}"
            ))
        });
        let said: Vec<_> = said.collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Why the present writer does without a partition, if it does.
    pub(super) fn is_away(&self, partition: usize) -> Option<String> {
        match self.resting.get(&partition)? {
            Rest::Away(reason) => Some(reason.clone()),
            Rest::Halted(_) => None,
        }
    }

    /// Partitions of which something is under way, and nothing was acknowledged for long; and for how long.
    pub(super) fn stalled(&self, now: Instant) -> BTreeMap<usize, Duration> {
        let waited = |(partition, since): (usize, &Option<Instant>)| {
            let waited = now.saturating_duration_since((*since)?);
            (self.lying.under_way(partition) > 0 && waited >= STALLED_AFTER).then_some((partition, waited))
        };
        self.under_way_since.iter().enumerate().filter_map(waited).collect()
    }

    /// Events that Kafka has not acknowledged.
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

    /// Whether the relay waits for deliveries of a partition.
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
        self.failed.is_some() || self.returned.is_some() || to_send || drained
    }

    /// Whether Kafka has all that can be sent.
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
            places: self.lying.places(),
            failed: self.failed.clone(),
            returned: self.returned,
            resting: self.resting.clone(),
            stalled: self.stalled(now),
            stop_by: self.stop_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(state: &mut State, ends: Vec<Result<i64, String>>) {
        state.begin_session();
        state.claimed(&Claimed { epoch: 1, ends }, Instant::now());
    }

    #[test]
    fn a_full_partition_keeps_no_other_from_being_sent() {
        let state = State::new(vec![100, 100], vec![0, 0]);
        let to_do = |sent: &[u64]| {
            let wait = Wait { sent, in_flight_max: 10, timeout: Duration::ZERO };
            state.something_to_do(wait, &state.limits(wait))
        };
        assert!(to_do(&[10, 0]), "the second one has room");
        assert!(!to_do(&[10, 10]));
    }

    #[test]
    fn a_partition_that_stands_still_is_named_whatever_the_others_do() {
        let mut state = State::new(vec![5, 5], vec![0, 0]);
        claimed(&mut state, vec![Ok(1), Ok(1)]);
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        for partition in [0, 1] {
            state.sending(partition, 5, began);
        }
        for (second, position) in [(4, 0), (8, 1), (12, 2)] {
            state.delivered(1, 0, position, 1 + position as i64, at(second)).unwrap();
        }
        assert_eq!(state.trouble(at(9)), None);
        let said = state.trouble(at(12)).unwrap();
        let named =
            "partition 1 has acknowledged nothing for 12 s; 5 events of it wait, the other partitions go on";
        assert_eq!(said, named);
        state.set_unanswered(BTreeMap::from([(1, "it has no leader".to_owned())]), Instant::now());
        assert_eq!(state.trouble(at(12)).unwrap(), format!("{named}: it has no leader"));
        state.set_unanswered(BTreeMap::new(), Instant::now());
        state.delivered(1, 1, 0, 1, at(13)).unwrap();
        assert_eq!(state.trouble(at(14)), None);
        assert_eq!(state.stalled(at(30)).len(), 2, "both wait for the rest");
        state.begin_session();
        assert!(state.stalled(at(60)).is_empty(), "a new writer has nothing under way");
    }

    #[test]
    fn what_the_relay_met_at_one_partition_is_not_over_because_another_moves() {
        let mut state = State::new(vec![5, 5], vec![0, 0]);
        claimed(&mut state, vec![Ok(1), Ok(1)]);
        state.trouble = Some(Failure { partition: Some(1), reason: "too large".to_owned() });
        state.delivered(1, 0, 0, 1, Instant::now()).unwrap();
        state.set_acknowledged(&[Some(1), None]);
        assert_eq!(state.trouble(Instant::now()).as_deref(), Some("too large"));
        state.set_acknowledged(&[None, Some(1)]);
        assert_eq!(state.trouble(Instant::now()), None);
    }

    #[test]
    fn a_partition_that_is_away_rests_and_is_told_of_when_it_is_back() {
        let mut state = State::new(vec![5, 5], vec![0, 5]);
        claimed(&mut state, vec![Err("no leader".to_owned()), Ok(1)]);
        let sent = [0, 5];
        let wait = Wait { sent: &sent, in_flight_max: 10, timeout: Duration::ZERO };
        let to_do = |state: &State| state.something_to_do(wait, &state.limits(wait));
        assert!(!to_do(&state) && state.is_drained(), "a stop does not wait for it");
        assert_eq!(state.trouble(Instant::now()).as_deref(), Some("no leader"));
        assert!(!state.set_unanswered(BTreeMap::from([(0, "still away".to_owned())]), Instant::now()));
        assert!(!to_do(&state));
        assert!(state.set_unanswered(BTreeMap::new(), Instant::now()) && to_do(&state));
        assert_eq!(state.returned, Some(0));
        state.begin_session();
        assert!(state.resting.is_empty() && state.returned.is_none());
    }

    #[test]
    fn a_partition_that_is_there_and_cannot_be_claimed_is_claimed_ever_more_seldom() {
        let mut state = State::new(vec![5, 5], vec![5, 5]);
        let began = Instant::now();
        let mut claims = Vec::new();
        for second in 0..300 {
            let now = began + Duration::from_secs(second);
            if claims.is_empty() || state.set_unanswered(BTreeMap::new(), now) {
                state.begin_session();
                let ends = vec![Ok(1), Err("takes no writes".to_owned())];
                state.claimed(&Claimed { epoch: 1, ends }, now);
                claims.push(second);
            }
        }
        assert_eq!(claims, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        state.claimed(&Claimed { epoch: 1, ends: vec![Ok(1); 2] }, began);
        assert!(state.absent.may_be_claimed(1, began), "it begins with the shortest pause again");
    }

    #[test]
    fn only_a_comparison_makes_a_partition_compared() {
        let mut state = State::new(vec![5, 5], vec![5, 5]);
        assert_eq!(state.uncompared, BTreeSet::from([0, 1]));
        state.set_acknowledged(&[None, Some(3)]);
        assert_eq!((&state.uncompared, &state.acknowledged[..]), (&BTreeSet::from([0]), &[5, 3][..]));
        claimed(&mut state, vec![Ok(1), Ok(1)]);
        assert!(state.uncompared.contains(&0));
    }
}
