//! What must be there at a point of a recording, as the notes of its processes say.

use std::collections::{BTreeMap, BTreeSet};

use daybook_journal::Event;
use system_tests::power_cut::journal_load::{Attempt, EVENTS_MAX, PARTITIONS};
use system_tests::power_cut::notes::Note;

/// What was certain for those who had been told, and what may be there besides. It goes on in time.
pub(crate) struct Expected<'n> {
    /// What is told later on.
    later: &'n [Note],
    /// By their record's number: groups that may not be lost.
    pub(crate) groups: BTreeMap<u64, Attempt>,
    /// The last record that may not be lost, whatever it holds.
    pub(crate) last: u64,
    /// Records before this one may be gone.
    pub(crate) first: u64,
    /// Positions before these may be gone.
    pub(crate) acknowledged: [u64; PARTITIONS],
    /// All that were tried, now or later.
    pub(crate) tried: BTreeSet<Attempt>,
}

impl<'n> Expected<'n> {
    pub(crate) fn new(notes: &'n [Note]) -> Self {
        let tried = notes.iter().filter_map(|note| match note {
            Note::Try(attempt) => Some(*attempt),
            _ => None,
        });
        Self {
            later: notes,
            groups: BTreeMap::new(),
            last: 0,
            first: 1,
            acknowledged: [0; PARTITIONS],
            tried: tried.collect(),
        }
    }

    /// Goes on to what had been told before `ns`.
    pub(crate) fn advance(&mut self, ns: u64) {
        while let Some((note, later)) = self.later.split_first().filter(|(note, _)| told_ns(note) < ns) {
            self.take(*note);
            self.later = later;
        }
        // Records only go: what is first in the next note may be first now, and none behind it.
        self.first = self.later.iter().find_map(first).unwrap_or(u64::MAX);
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Done { number, attempt, .. } => self.may_not_be_lost(number, Some(attempt)),
            Note::Begun { last, group, .. } => self.may_not_be_lost(last, group),
            Note::Retire { acknowledged, .. } => self.acknowledged = acknowledged,
            Note::Try(_) | Note::Retired { .. } => {}
        }
    }

    fn may_not_be_lost(&mut self, number: u64, group: Option<Attempt>) {
        self.last = self.last.max(number);
        if let Some(attempt) = group {
            self.groups.insert(number, attempt);
        }
    }

    /// Events of groups that may not be lost, by partition and position, from these positions on and some before them.
    pub(crate) fn events(&self, from: [u64; PARTITIONS]) -> BTreeMap<(usize, u64), Event> {
        let wanted = |attempt: &&Attempt| (0..PARTITIONS).any(|p| attempt.next[p] + EVENTS_MAX >= from[p]);
        let events = self.groups.values().filter(wanted).flat_map(|attempt| attempt.group().events);
        events.map(|event| ((event.partition as usize, event.position), event)).collect()
    }
}

/// When it was told; what is only going to be tried is nothing that anybody was told.
fn told_ns(note: &Note) -> u64 {
    match note {
        Note::Try(_) => 0,
        Note::Done { ns, .. }
        | Note::Begun { ns, .. }
        | Note::Retire { ns, .. }
        | Note::Retired { ns, .. } => *ns,
    }
}

fn first(note: &Note) -> Option<u64> {
    match note {
        Note::Begun { first, .. } | Note::Retire { first, .. } | Note::Retired { first, .. } => Some(*first),
        Note::Try(_) | Note::Done { .. } => None,
    }
}
