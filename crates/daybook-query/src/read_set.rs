//! What one answer depends on: keys that have events in quarantine, and partitions that `Daybook-As-Of` names.
//!
//! The domain says what its answer depends on, a topic and which keys; that may be known only once rows have been read.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderValue;
use daybook_kafka::partition_for_key;
use daybook_projection::Quarantine;
use uuid::Uuid;

/// Keys that the header names: servers in between bound their size. The answer's own field has all.
const HEADER_KEYS_MAX: usize = 20;
/// Stands behind the keys of a header that does not name all.
const MORE: &str = "...";

#[derive(Debug, Clone, Default)]
pub struct ReadSet {
    quarantine: Arc<Quarantine>,
    keys: BTreeSet<String>,
    /// Topics of so many partitions that an answer names those alone of which it shows something, and how many they have.
    pub(super) wide: Vec<(&'static str, i32)>,
    pub(super) partitions: BTreeSet<(&'static str, i32)>,
}

impl ReadSet {
    pub(super) fn of(quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, ..Self::default() }
    }

    /// The answer depends on those keys of a topic that `is_meant`.
    pub fn depends_on(&mut self, topic: &str, is_meant: impl Fn(Uuid) -> bool) {
        // Every answer comes by here; nearly always nothing waits.
        if self.quarantine.is_empty() {
            return;
        }
        let parked = self.quarantine.keys_of(topic);
        let meant = parked.filter(|key| key.parse().is_ok_and(&is_meant));
        self.keys.extend(meant.map(str::to_owned));
    }

    /// The answer shows rows of these keys of a topic that it depends on as a whole, and of no others.
    pub fn shows(&mut self, topic: &str, keys: impl Iterator<Item = Uuid>) {
        // Most topics have few partitions, which are named all.
        let Some((topic, count)) = self.wide.iter().find(|(wide, _)| *wide == topic).copied() else { return };
        let mut text = Uuid::encode_buffer();
        for key in keys {
            let key = key.as_hyphenated().encode_lower(&mut text).as_bytes();
            self.partitions.insert((topic, partition_for_key(key, count)));
        }
    }

    pub fn quarantined(&self) -> Vec<String> {
        self.keys.iter().cloned().collect()
    }

    /// The value of `Daybook-Quarantined`; none if nothing of what the answer depends on waits.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut shown: Vec<&str> = self.keys.iter().take(HEADER_KEYS_MAX).map(String::as_str).collect();
        if shown.len() < self.keys.len() {
            shown.push(MORE);
        }
        // They were parsed as UUIDs.
        HeaderValue::try_from(shown.join(",")).ok().filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_some_keys_and_says_that_there_are_more() {
        let mut marks = ReadSet::default();
        assert_eq!(marks.header(), None);
        marks.keys.extend((0..2).map(|number| Uuid::from_u128(number).to_string()));
        let two = format!("{},{}", Uuid::from_u128(0), Uuid::from_u128(1));
        assert_eq!(marks.header().unwrap(), two);
        marks.keys.extend((0..=HEADER_KEYS_MAX as u128).map(|number| Uuid::from_u128(number).to_string()));
        let header = marks.header().unwrap();
        let named: Vec<_> = header.to_str().unwrap().split(',').collect();
        assert_eq!((named.len(), named.last().copied()), (HEADER_KEYS_MAX + 1, Some(MORE)));
        assert_eq!(marks.quarantined().len(), HEADER_KEYS_MAX + 1);
    }
}
