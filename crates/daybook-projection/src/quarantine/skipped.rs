//! Events that are left out for ever: which ones, since when, and why.
//!
//! They are kept in the file `SKIPPED` of the read model, beside the generations, so that every later generation leaves
//! them out as well. The file is written before the generation that is served; one that was killed in between takes it
//! up when it is opened again ([`super::leave_out`]).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use daybook_event::token::{Token, TokenPosition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::index::{ParkedEvent, Quarantine};
use super::record::ViewChange;
use crate::checkpoint::SourceId;

/// Events that may be left out in one read model; an operator has reviewed each.
pub const SKIPPED_EVENTS_MAX: usize = 10_000;
/// Characters of a reason given for leaving an event out.
pub const WHY_CHARS_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEvent {
    /// Topic without prefix.
    pub topic: String,
    pub partition: i32,
    pub position: u64,
    /// Its id; made from the record's bytes if its envelope cannot be read, and from its place and time if it waited for some views.
    pub id: Uuid,
    /// Numbers of the views that leave it out, because it contradicts them or waits behind one that does; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<u8>,
    /// Its id, if it is known.
    pub event_id: Option<Uuid>,
    pub key: String,
    pub why: String,
    /// When that was said, RFC 3339.
    pub at: String,
}

impl SkippedEvent {
    /// Whether both leave out the same event, whatever was said about it.
    pub fn is_of_same_event(&self, other: &Self) -> bool {
        self.event() == other.event()
    }

    fn event(&self) -> (&str, i32, u64, Uuid, &[u8]) {
        (&self.topic, self.partition, self.position, self.id, &self.views)
    }

    pub(super) fn is_in(&self, source: &SourceId) -> bool {
        (self.topic.as_str(), self.partition) == (&*source.topic, source.partition)
    }

    /// Whether it is this event, left out of this view; of all for 0.
    pub(super) fn is(&self, id: Uuid, view: u8) -> bool {
        let is_of_view = if view == 0 { self.views.is_empty() } else { self.views.contains(&view) };
        self.id == id && is_of_view
    }
}

/// Events that are left out, by partition and position.
#[derive(Debug, Default)]
pub(crate) struct Skips(HashMap<(usize, u64), Vec<SkippedEvent>>);

impl Skips {
    pub(super) fn add(&mut self, index: usize, event: &SkippedEvent) {
        self.0.entry((index, event.position)).or_default().push(event.clone());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_left_out(&self, index: usize, position: u64, id: Uuid) -> bool {
        self.0.get(&(index, position)).is_some_and(|skips| skips.iter().any(|skip| skip.is(id, 0)))
    }

    pub(super) fn views(&self, index: usize, source: &SourceId, position: u64, time_us: i64) -> Vec<u8> {
        let Some(skips) = self.0.get(&(index, position)) else { return Vec::new() };
        let id = ViewChange::id(source, position, time_us);
        skips.iter().filter(|skip| skip.id == id).flat_map(|skip| skip.views.clone()).collect()
    }
}

/// Those of some events that are left out which are not among those that are named.
pub fn unnamed<'l>(left_out: &'l [SkippedEvent], named: &[SkippedEvent]) -> Vec<&'l SkippedEvent> {
    let named: HashSet<_> = named.iter().map(SkippedEvent::event).collect();
    left_out.iter().filter(|event| !named.contains(&event.event())).collect()
}

/// How an event in quarantine is named: by its id, or by its position where it has no id that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventName {
    Id(Uuid),
    At(TokenPosition),
}

impl FromStr for EventName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let at = text.parse().map(Self::At);
        at.map_err(|_| "it is neither a UUID nor a position such as users.events/3@17".to_owned())
    }
}

impl TryFrom<String> for EventName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<EventName> for String {
    fn from(name: EventName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::At(at) => Token { positions: vec![at.clone()] }.fmt(f),
        }
    }
}

impl Quarantine {
    /// The named event as it would be left out, if it waits.
    pub fn find(&self, name: &EventName, why: &str, at: &str) -> Option<SkippedEvent> {
        let is_meant = |(source, position, event): &(&SourceId, u64, &ParkedEvent)| match name {
            EventName::Id(id) => event.has_event_id && event.id == *id,
            EventName::At(at) => {
                (&*source.topic, source.partition, *position)
                    == (at.topic.as_str(), at.partition, at.position)
            }
        };
        self.parked().find(is_meant).map(|(source, position, event)| SkippedEvent {
            topic: source.topic.to_string(),
            partition: source.partition,
            position,
            id: event.id,
            views: self.at(source, position).map(|(view, _)| view).filter(|view| *view > 0).collect(),
            event_id: event.has_event_id.then_some(event.id),
            key: event.key.clone(),
            why: why.to_owned(),
            at: at.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_id_or_its_place() {
        for text in ["00000000-0000-0000-0000-000000000007", "users.events/3@17"] {
            assert_eq!(text.parse::<EventName>().unwrap().to_string(), text);
        }
        for text in ["", "7", "a/0@1,a/0@2", "users.events/3"] {
            assert!(text.parse::<EventName>().unwrap_err().contains("users.events/3@17"));
        }
    }
}
