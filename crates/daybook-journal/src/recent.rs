//! Events of records in memory: bounded in bytes, and those that came first go first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::catalog::{Events, Place};
use crate::record::Event;

/// The events of the records that came last.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    events: HashMap<Place, Events>,
    /// In the order in which they came, each with its bytes.
    order: VecDeque<(Place, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(crate) fn get(&self, place: Place) -> Option<Events> {
        self.events.get(&place).map(Arc::clone)
    }

    /// Takes the events of a record in. What is larger than the bound is not kept, and drives nothing out.
    pub(crate) fn put(&mut self, place: Place, events: &Events) {
        let bytes = events.iter().map(Event::bytes).sum();
        if bytes > self.bytes_max || self.events.contains_key(&place) {
            return;
        }
        self.events.insert(place, Arc::clone(events));
        self.order.push_back((place, bytes));
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            let Some((oldest, bytes)) = self.order.pop_front() else { return };
            self.events.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}
