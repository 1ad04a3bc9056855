//! Whether the same events wait in two generations.

use std::collections::BTreeMap;

use crate::quarantine::ParkedKey;

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
