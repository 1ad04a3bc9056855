//! A projection: which views are folded from which topics.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

use crate::bulk::{KeyFold, Pack, ViewFold};
use crate::cache::{CachedTable, Table, describe};
use crate::codec::RowError;
use crate::generation::Generation;
use crate::store::ReadError;
use crate::view::View;

/// A topic that is projected, and the service that alone may write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Name of the topic without prefix.
    pub name: &'static str,
    /// Name of the service, as the `source` of its events says it.
    pub service: &'static str,
}

pub struct ViewEntry<E: 'static> {
    pub id: u8,
    pub name: &'static str,
    pub(super) table: fn() -> Box<dyn Table<E>>,
    pub(super) pack: Pack<E>,
    pub(super) fold: fn() -> Box<dyn KeyFold>,
    pub(super) describe: fn(&Generation, Uuid) -> Result<Option<Value>, ReadError>,
}

impl<E: 'static> ViewEntry<E> {
    /// The entry of view `V`.
    #[must_use]
    pub const fn of<V: View<Event = E>>() -> Self {
        Self {
            id: V::ID,
            name: V::NAME,
            table: || Box::new(CachedTable::<V>::default()),
            pack: pack::<V>,
            fold: || Box::new(ViewFold::<V>::default()),
            describe: describe::<V>,
        }
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

impl<E> Projection<E> {
    /// Layout of the generations that this projection writes.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let views = self.views.iter().map(|view| (view.id, view.name)).collect();
        Layout { version: self.layout_version, views }
    }

    /// The rows of all views that have `key`, for people.
    ///
    /// # Errors
    /// [`ReadError`] if a row cannot be read.
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

fn pack<V: View>(event: &V::Event, to: &mut Vec<u8>) -> Result<Option<Uuid>, RowError> {
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
