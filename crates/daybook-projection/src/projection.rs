//! A projection: which views are folded from which topics.

use std::fmt;

use daybook_event::Event;
pub use daybook_event::Topic;
use serde_json::Value;
use uuid::Uuid;

use crate::cache::{CachedTable, Table};
use crate::codec::RowError;
use crate::external_sort::{CollectChange, KeyFold, ViewFold};
use crate::generation::Generation;
use crate::store::ReadError;
use crate::view::View;

pub struct ViewEntry<E: 'static> {
    pub id: u8,
    pub name: &'static str,
    /// [`View::BY_RECORD_KEY`].
    pub by_record_key: bool,
    pub(super) table: fn() -> Box<dyn Table<E>>,
    pub(super) collect_change: CollectChange<E>,
    pub(super) fold: fn() -> Box<dyn KeyFold>,
    pub(super) describe: fn(&Generation, Uuid) -> Result<Option<Value>, ReadError>,
}

impl<E: 'static> ViewEntry<E> {
    pub const fn of<V: View<Event = E>>() -> Self {
        Self {
            id: V::ID,
            name: V::NAME,
            by_record_key: V::BY_RECORD_KEY,
            table: || Box::new(CachedTable::<V>::default()),
            collect_change: collect_change::<V>,
            fold: || Box::new(ViewFold::<V>::default()),
            describe: describe::<V>,
        }
    }
}

impl<E> ViewEntry<E> {
    /// The key of the row that an event belongs to, if the view cares for it.
    /// Errors: [`RowError`] if what the view takes from the event cannot be written.
    pub fn key(&self, event: &E) -> Result<Option<Uuid>, RowError> {
        (self.collect_change)(event, &mut Vec::new())
    }
}

/// What a read model is folded from and into. A constant of the domain.
pub struct Projection<E: 'static> {
    /// Counts up whenever the meaning or the bytes of any row change.
    pub layout_version: u32,
    pub topics: &'static [Topic],
    /// The views that are folded, in the order of their numbers.
    pub views: &'static [ViewEntry<E>],
}

// Derived impls would ask the same of `E`.
impl<E> Clone for Projection<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E> Copy for Projection<E> {}

/// How a projection contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// It reads nothing.
    #[error("the projection reads no topic")]
    NoTopic,
    /// It reads something twice.
    #[error("the projection reads the topic {0} twice")]
    TopicTwice(&'static str),
    /// None of its events is there.
    #[error("the projection reads the topic {0}, in which none of its events is")]
    ForeignTopic(&'static str),
    /// The key of its rows is that of something else.
    #[error("the view {0} has the id 0; views are numbered from 1")]
    IdZero(&'static str),
    /// Their rows would be in each other's place.
    #[error("the views {0} and {1} have one id; give one of them another View::ID")]
    SameId(&'static str, &'static str),
    /// They could not be told apart.
    #[error("two views are called {0}; give one of them another View::NAME")]
    SameName(&'static str),
}

impl Contradiction {
    /// Stops the compiler; in a constant it can name no names.
    const fn refuse(self) -> ! {
        match self {
            Self::NoTopic => panic!("the projection reads no topic"),
            Self::TopicTwice(_) => panic!("the projection reads a topic twice"),
            Self::ForeignTopic(_) => panic!("the projection reads a topic in which none of its events is"),
            Self::IdZero(_) => panic!("a view has the id 0; views are numbered from 1"),
            Self::SameId(..) => panic!("two views have one id; give one of them another View::ID"),
            Self::SameName(_) => panic!("two views have one name; give one of them another View::NAME"),
        }
    }
}

impl<E: Event> Projection<E> {
    /// Of these views, from all topics of their events. Whatever contradicts itself does not compile in a constant:
    ///
    /// ```compile_fail
    /// # use daybook_event::Event;
    /// # use daybook_projection::projection::ViewEntry;
    /// # use daybook_projection::{EventMeta, FoldError, Parts, Projection, View};
    /// # #[derive(Event)]
    /// # #[event(service = "lamps", topic = "lamps.events", prefix = "house.lamp.")]
    /// # enum LampEvent { #[event("switched.v1")] Switched { #[key] lamp_id: uuid::Uuid } }
    /// # struct Switches;
    /// # impl View for Switches {
    /// #     type Event = LampEvent;
    /// #     type Change = ();
    /// #     type Row = u64;
    /// #     const ID: u8 = 1;
    /// #     const NAME: &'static str = "switches";
    /// #     fn change(event: &LampEvent) -> Option<(uuid::Uuid, ())> { Some((event.key(), ())) }
    /// #     fn fold(row: Option<u64>, (): (), _: &EventMeta<'_>, _: &mut Parts<'_>) -> Result<Option<u64>, FoldError> { Ok(row) }
    /// # }
    /// const TWICE: Projection<LampEvent> =
    ///     Projection::of(1, &[ViewEntry::of::<Switches>(), ViewEntry::of::<Switches>()]);
    /// println!("{}", TWICE.layout());
    /// ```
    ///
    /// # Panics
    /// If it contradicts itself.
    #[must_use]
    pub const fn of(layout_version: u32, views: &'static [ViewEntry<E>]) -> Self {
        let projection = Self { layout_version, topics: E::TOPICS, views };
        match projection.contradiction() {
            Some(contradiction) => contradiction.refuse(),
            None => projection,
        }
    }

    /// The first topic that it reads and in which none of its events is.
    #[must_use]
    pub fn foreign_topic(&self) -> Option<Contradiction> {
        let foreign = self.topics.iter().find(|topic| !E::TOPICS.contains(topic));
        foreign.map(|topic| Contradiction::ForeignTopic(topic.name))
    }
}

impl<E> Projection<E> {
    /// How it contradicts itself, if it does.
    #[must_use]
    pub const fn contradiction(&self) -> Option<Contradiction> {
        if self.topics.is_empty() {
            return Some(Contradiction::NoTopic);
        }
        let mut at = 0;
        while at < self.topics.len() {
            let mut before = 0;
            while before < at {
                if is_same(self.topics[at].name, self.topics[before].name) {
                    return Some(Contradiction::TopicTwice(self.topics[at].name));
                }
                before += 1;
            }
            at += 1;
        }
        let mut at = 0;
        while at < self.views.len() {
            let view = &self.views[at];
            if view.id == 0 {
                return Some(Contradiction::IdZero(view.name));
            }
            let mut before = 0;
            while before < at {
                let other = &self.views[before];
                if view.id == other.id {
                    return Some(Contradiction::SameId(other.name, view.name));
                }
                if is_same(view.name, other.name) {
                    return Some(Contradiction::SameName(view.name));
                }
                before += 1;
            }
            at += 1;
        }
        None
    }

    pub fn layout(&self) -> Layout {
        let views = self.views.iter().map(|view| (view.id, view.name)).collect();
        Layout { version: self.layout_version, views }
    }

    /// The rows of all views that have `key`, for people.
    /// Errors: [`ReadError`] if a row cannot be read.
    pub fn inspect(
        &self,
        generation: &Generation,
        key: Uuid,
    ) -> Result<Vec<(&'static str, Value)>, ReadError> {
        let mut found = Vec::new();
        for view in self.views {
            if let Some(row) = (view.describe)(generation, key)? {
                found.push((view.name, row));
            }
        }
        Ok(found)
    }
}

/// A stored row.
pub fn load<V: View>(stored: &Generation, key: Uuid) -> Result<Option<V::Row>, ReadError> {
    let bytes = stored.row(V::ID, key)?;
    bytes.map(|bytes| V::decode(&bytes).map_err(ReadError::row(V::NAME, key))).transpose()
}

/// A stored row for people.
pub fn describe<V: View>(stored: &Generation, key: Uuid) -> Result<Option<Value>, ReadError> {
    let row = load::<V>(stored, key)?;
    row.map(|row| V::describe(&row, key, stored)).transpose()
}

/// Equality of texts, in constants as well.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

fn collect_change<V: View>(event: &V::Event, to: &mut Vec<u8>) -> Result<Option<Uuid>, RowError> {
    let Some((key, change)) = V::change(event) else { return Ok(None) };
    V::put_change(&change, to)?;
    Ok(Some(key))
}

/// How the kernel stores rows of whatever layout: counts up when that changes.
const STORE_VERSION: u32 = 6;

/// Layout of a generation. Rows of another layout are never read; they are rebuilt by a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Counts up whenever the meaning or the bytes of any row change.
    pub version: u32,
    /// Number and name of every view, in the order of their numbers.
    pub views: Vec<(u8, &'static str)>,
}

impl fmt::Display for Layout {
    /// `1 (products=1, users=2; store 2)`; equally how a generation notes its layout.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.version)?;
        for (index, (id, name)) in self.views.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={id}")?;
        }
        write!(f, "; store {STORE_VERSION})")
    }
}
