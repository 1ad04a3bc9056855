//! What a generation is as of one commit: all that it takes to compare another one with it, which follows to that very place.
//! Nobody has to stand still for it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use daybook_service::Stop;
use serde::{Deserialize, Serialize};

use super::ranges::{Range, RangeRows};
use super::served::{Client, QuarantineShown, Served};
use crate::checkpoint::Checkpoint;
use crate::generation::{Generation, Moment};
use crate::quarantine::{ParkedKey, SkippedEvent, unnamed};
use crate::read_model::ReadModel;
use crate::store::StoreError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub generation: String,
    pub layout: String,
    pub checkpoint: Checkpoint,
    /// Digest of its rows, as kept up to date with every commit.
    pub digest: String,
    /// Keys whose events wait, but for records that lie behind the checkpoint because their position is not known yet.
    pub parked: Vec<ParkedKey>,
    /// Why it follows no further, if that is because one of its rows cannot be read.
    #[serde(default)]
    pub unreadable: Option<String>,
    /// Why it follows no further at present, if it is stopped.
    #[serde(default)]
    pub stopped: Option<String>,
}

impl Sample {
    /// The generation `name` at a moment.
    pub fn of(name: &str, layout: &str, moment: &Moment) -> Self {
        Self {
            generation: name.to_owned(),
            layout: layout.to_owned(),
            checkpoint: Checkpoint::clone(&moment.checkpoint),
            digest: moment.digest.to_string(),
            parked: moment.quarantine.keys().cloned().collect(),
            unreadable: None,
            stopped: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// What it serves; none if there is nothing that it could serve at present.
    pub sample: Option<Sample>,
    /// It serves nothing, and is about to open what is published: a process that has it open should let it go.
    pub opens: bool,
    /// Why it has not opened it yet, if it has tried; it tries again.
    #[serde(default)]
    pub trouble: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsAt {
    pub sample: Sample,
    pub rows: RangeRows,
}

impl RowsAt {
    /// Reads the first rows of a range, at most `limit`; `None` if something was committed each time that it was tried: fewer
    /// rows may be read between two commits.
    pub fn read(
        (name, layout): (&str, &str),
        generation: &Generation,
        range: &Range,
        limit: usize,
    ) -> Result<Option<Self>, StoreError> {
        let read = generation.at_one_moment(|| RangeRows::read(generation, range, limit));
        let Some((moment, rows)) = read else { return Ok(None) };
        Ok(Some(Self { sample: Sample::of(name, layout, &moment), rows: rows? }))
    }
}

/// Where it is known what is left out of what is published; does not keep that open.
pub(crate) enum LeftOut {
    Known(Vec<SkippedEvent>),
    /// By who serves it: asked only once there is a difference.
    Remote(Client),
}

impl LeftOut {
    pub(crate) fn of(served: &Served) -> Self {
        match served {
            Served::Local { generation, .. } => Self::Known(generation.quarantine().skipped().to_vec()),
            Served::Remote(client) => Self::Remote(client.clone()),
        }
    }

    /// A sentence, if there are such events: a new build has them. None also where that is not known.
    pub(crate) fn lost_note(self, named: &[SkippedEvent]) -> Option<String> {
        let left_out = match self {
            Self::Known(left_out) => left_out,
            Self::Remote(client) => {
                let QuarantineShown { skipped, .. } = Served::Remote(client).quarantine().ok()?;
                skipped
            }
        };
        let lost = unnamed(&left_out, named);
        let SkippedEvent { topic, partition, position, key, .. } = lost.first()?;
        Some(format!(
            "{} events are left out of what is published and not named in SKIPPED any more, the first of them \
             {topic}/{partition}@{position} of key {key}: a new build has them, which may be all the difference. Restore SKIPPED \
             from a copy first",
            lost.len()
        ))
    }
}

/// Keys of which events wait in one of two generations only, or not the same ones.
pub fn parked_differently(published: &[ParkedKey], other: &[ParkedKey]) -> Vec<String> {
    let mut seen: BTreeMap<_, [Option<(u64, u64)>; 2]> = BTreeMap::new();
    let both = published.iter().map(|key| (0, key)).chain(other.iter().map(|key| (1, key)));
    for (side, key) in both {
        let place = (key.topic.as_str(), key.partition, key.key.as_str(), key.view, key.event_id);
        seen.entry(place).or_default()[side] = Some((key.since_position, key.waiting));
    }
    let differing = seen.into_iter().filter(|(_, [published, other])| published != other);
    let mut keys: Vec<_> = differing.map(|((_, _, key, ..), _)| key.to_owned()).collect();
    keys.dedup();
    keys
}

/// How often it is checked whether a process is about to serve it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
pub(crate) const TIMES_MAX: u32 = 8;

/// Says when to stop: once cancelled, or once a process means to serve what is open here.
pub(crate) struct GivingWay<'g> {
    /// Who might, and the layout that he would serve; none if it is not open here.
    server: Option<(Client, String)>,
    cancelled: &'g Stop,
    next_check: Cell<Instant>,
    gave_way: Cell<bool>,
}

impl<'g> GivingWay<'g> {
    pub(crate) fn new(read_model: &ReadModel, served: &Served, cancelled: &'g Stop) -> Self {
        let server = match served {
            Served::Local { layout, .. } => {
                let client = Client::new(read_model.directory(), "the process that serves".to_owned());
                Some((client, layout.clone()))
            }
            Served::Remote(_) => None,
        };
        Self { server, cancelled, next_check: Cell::new(Instant::now()), gave_way: Cell::new(false) }
    }

    /// To be asked now and then.
    pub(crate) fn stops(&self) -> bool {
        self.cancelled.requested() || self.gives_way()
    }

    pub(crate) fn gave_way(&self) -> bool {
        self.gave_way.get()
    }

    fn gives_way(&self) -> bool {
        let Some((server, layout)) = &self.server else { return false };
        let now = Instant::now();
        if !self.gave_way.get() && now >= self.next_check.get() {
            let serves = server.serves();
            let means_to =
                |serves: Serves| serves.opens || serves.sample.is_some_and(|sample| sample.layout == *layout);
            self.gave_way.set(serves.is_ok_and(means_to));
            self.next_check.set(Instant::now() + POLL_INTERVAL);
        }
        self.gave_way.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, since_position: u64, waiting: u64) -> ParkedKey {
        let (topic, partition) = ("users.events".to_owned(), 0);
        let (key, view, event_id, reason) = (key.to_owned(), None, None, "a test".to_owned());
        ParkedKey { key, topic, partition, view, since_position, event_id, waiting, reason }
    }

    #[test]
    fn a_key_that_waits_on_one_side_only_is_named() {
        assert_eq!(parked_differently(&[key("a", 1, 2), key("b", 3, 1)], &[]), ["a", "b"]);
        let other = [key("a", 1, 2), key("b", 3, 2)];
        assert_eq!(parked_differently(&[key("a", 1, 2), key("b", 3, 1)], &other), ["b"]);
        assert_eq!(parked_differently(&[key("a", 1, 2), key("b", 3, 2)], &other), Vec::<String>::new());
    }
}
