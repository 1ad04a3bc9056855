//! Which keys that an answer depends on have events in quarantine.
//!
//! The domain says what its answer depends on, a topic and which keys; that may be known only once rows have been read.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderValue;
use daybook_projection::Quarantine;
use uuid::Uuid;

/// Keys that the header names: servers in between bound their size. The answer's own field has all.
const HEADER_KEYS_MAX: usize = 20;
/// Stands behind the keys of a header that does not name all.
const MORE: &str = "...";

/// Keys of one answer of which events wait.
#[derive(Debug, Clone, Default)]
pub struct AffectedKeys {
    quarantine: Arc<Quarantine>,
    keys: BTreeSet<String>,
}

impl AffectedKeys {
    pub(super) fn of(quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, keys: BTreeSet::new() }
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

    /// For the field `quarantined` of the answer.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.keys.iter().cloned().collect()
    }

    /// The value of `Daybook-Quarantined`; none if nothing of what the answer depends on waits.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
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
        let mut marks = AffectedKeys::default();
        assert_eq!(marks.header(), None);
        marks.keys.extend((0..2).map(|number| Uuid::from_u128(number).to_string()));
        let two = format!("{},{}", Uuid::from_u128(0), Uuid::from_u128(1));
        assert_eq!(marks.header().unwrap(), two);
        marks.keys.extend((0..=HEADER_KEYS_MAX as u128).map(|number| Uuid::from_u128(number).to_string()));
        let header = marks.header().unwrap();
        let named: Vec<_> = header.to_str().unwrap().split(',').collect();
        assert_eq!((named.len(), named.last().copied()), (HEADER_KEYS_MAX + 1, Some(MORE)));
        assert_eq!(marks.keys().len(), HEADER_KEYS_MAX + 1);
    }
}
