//! What an answer rests on: the positions that the served generation had projected before its rows were read, and keys that wait.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::HeaderValue;
use daybook_event::token::{HEADER_BYTES_MAX, Token};
use daybook_kafka::partition_for_key;
use daybook_projection::{Checkpoint, Quarantine, SourceId};
use daybook_service::http::ApiError;
use uuid::Uuid;

use super::serving::Serving;

/// A topic of so many partitions is named whole: their positions take some 1,400 bytes of a header.
const PARTITIONS_NAMED_MAX: i32 = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependsOn {
    /// All events of one key of a topic (without prefix).
    Key(&'static str, Uuid),
    /// Events of some keys of a topic, which are named once rows have been read.
    Topic(&'static str),
    /// Events of all keys of a topic: whichever waits.
    Whole(&'static str),
}

#[derive(Debug, Clone)]
pub struct AsOf {
    pub checkpoint: Arc<Checkpoint>,
    pub quarantine: Arc<Quarantine>,
}

impl AsOf {
    /// That of an answer that is about to be read from `serving`. As reading a row does, it waits while a batch is written.
    /// Errors: 500 if the read model cannot be read.
    pub(super) async fn of(serving: &Serving) -> Result<Self, ApiError> {
        let moment = serving.read(0, |generation| Ok(generation.moment())).await?;
        Ok(Self { checkpoint: moment.checkpoint.clone(), quarantine: moment.quarantine.clone() })
    }

    /// The value of `Daybook-As-Of` for an answer that depends on all of `depends_on` and has read `read_set`. An event that
    /// waits in quarantine is never named. Partitions of which nothing has been projected are left out; `None` if that leaves
    /// nothing.
    ///
    /// Of a topic with many partitions those are named that the answer shows something of. As far as there is room, so are all of one
    /// that it depends on as a whole, and those that the request asked for (`requested`), so that a client that sends the header back
    /// keeps asking for them.
    pub fn header(
        &self,
        depends_on: &[DependsOn],
        read_set: &ReadSet,
        requested: Option<&Token>,
    ) -> Option<HeaderValue> {
        let partitions: Vec<_> = depends_on.iter().map(|on| self.partitions(on)).collect();
        let is_wide = |topic: &str| read_set.wide.iter().any(|(wide, _)| *wide == topic);
        let is_own = |source: &SourceId| {
            let shown = || read_set.partitions.iter().any(|at| *at == (&*source.topic, source.partition));
            partitions.iter().any(|(topic, only)| match only {
                Some(only) => *topic == &*source.topic && *only == source.partition,
                None => *topic == &*source.topic && (!is_wide(topic) || shown()),
            })
        };
        let requested = requested.map(|token| token.positions.iter().filter(|at| is_wide(&at.topic)));
        let requested: BTreeSet<_> =
            requested.into_iter().flatten().map(|at| (at.topic.as_str(), at.partition)).collect();
        let is_requested = |source: &SourceId| requested.contains(&(&*source.topic, source.partition));
        let is_of = |on: &DependsOn, source: &SourceId| matches!(on, DependsOn::Whole(topic) if **topic == *source.topic);
        let is_whole = |source: &SourceId| depends_on.iter().any(|on| is_of(on, source));
        let with_more: [&dyn Fn(&SourceId) -> bool; 3] = [
            &|source| is_own(source) || is_whole(source) || is_requested(source),
            &|source| is_own(source) || is_whole(source),
            &|source| is_own(source) || is_requested(source),
        ];
        let mut texts = with_more.into_iter().map(|is_named| self.named(is_named));
        let text = texts.find(|text| text.len() <= HEADER_BYTES_MAX).unwrap_or_else(|| self.named(is_own));
        HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
    }

    /// The positions of these partitions.
    fn named(&self, is_named: impl Fn(&SourceId) -> bool) -> String {
        let mut text = String::new();
        for (source, at) in self.checkpoint.sources().filter(|(source, _)| is_named(source)) {
            let Some(position) = self.quarantine.last_projected(source, at.next_position) else { continue };
            let comma = if text.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _written = write!(text, "{comma}{source}@{position}");
        }
        if text.len() <= HEADER_BYTES_MAX {
            return text;
        }
        // It was written as one.
        text.parse().map_or(text, |token: Token| token.to_header())
    }

    /// What is known of an answer to `depends_on` before rows are read.
    pub fn read_set(&self, depends_on: &[DependsOn]) -> ReadSet {
        let mut read_set = ReadSet::of(self.quarantine.clone());
        for on in depends_on {
            match on {
                DependsOn::Key(topic, key) => read_set.depends_on(topic, |of| of == *key),
                DependsOn::Topic(topic) | DependsOn::Whole(topic) => {
                    let count = self.checkpoint.partitions(topic);
                    read_set.wide.extend((count > PARTITIONS_NAMED_MAX).then_some((*topic, count)));
                }
            }
            if let DependsOn::Whole(topic) = on {
                read_set.depends_on(topic, |_| true);
            }
        }
        read_set
    }

    fn partitions(&self, on: &DependsOn) -> (&'static str, Option<i32>) {
        match on {
            DependsOn::Topic(topic) | DependsOn::Whole(topic) => (topic, None),
            DependsOn::Key(topic, key) => {
                let mut text = Uuid::encode_buffer();
                let key = key.as_hyphenated().encode_lower(&mut text).as_bytes();
                (topic, Some(partition_for_key(key, self.checkpoint.partitions(topic))))
            }
        }
    }
}

// The domain says what its answer depends on, a topic and which keys; that may be known only once rows have been read.

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
    use daybook_projection::{SourceCheckpoint, SourceId};

    use super::*;

    fn as_of(next_positions: &[(&str, i32, u64)]) -> AsOf {
        let sources = next_positions.iter().map(|&(topic, partition, next_position)| {
            let source = SourceId { topic: topic.into(), partition };
            (source, SourceCheckpoint { next_position, ..SourceCheckpoint::default() })
        });
        AsOf { checkpoint: Arc::new(Checkpoint::from_sources(sources)), quarantine: Arc::default() }
    }

    #[test]
    fn an_answer_names_what_it_rests_on_and_no_more() {
        let at = as_of(&[("a", 0, 3), ("a", 1, 0), ("a", 2, 7), ("b", 0, 1), ("b", 1, 9), ("c", 0, 0)]);
        let shown = |on: &[DependsOn]| {
            let header = at.header(on, &at.read_set(on), None);
            header.map(|value| value.to_str().unwrap().to_owned())
        };
        let key = Uuid::from_u128(7);
        let partition = partition_for_key(key.to_string().as_bytes(), 2);
        let b = if partition == 0 { "b/0@0" } else { "b/1@8" };
        let both = format!("a/0@2,a/2@6,{b}");
        assert_eq!(shown(&[DependsOn::Key("b", key), DependsOn::Topic("a")]), Some(both));
        assert_eq!(shown(&[DependsOn::Topic("c")]), None);
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn of_a_topic_with_many_partitions_an_answer_names_what_it_shows_and_what_was_asked_for() {
        let of: Vec<_> = (0..1_000).map(|partition| ("a", partition, 1_000_000 + partition as u64)).collect();
        let (at, on) = (as_of(&of), [DependsOn::Topic("a")]);
        let named = |read_set: &ReadSet, requested: &str| {
            let requested: Option<Token> = (!requested.is_empty()).then(|| requested.parse().unwrap());
            let header = at.header(&on, read_set, requested.as_ref());
            let text = header.map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
            assert!(text.len() <= HEADER_BYTES_MAX, "{} bytes", text.len());
            text
        };
        let mut read_set = at.read_set(&on);
        assert_eq!(named(&read_set, ""), "", "it shows nothing");
        let key = Uuid::from_u128(7);
        let partition = partition_for_key(key.to_string().as_bytes(), 1_000);
        read_set.shows("a", [key].into_iter());
        let own = format!("a/{partition}@{}", 999_999 + partition);
        assert_eq!(named(&read_set, ""), own);
        let other = (partition + 1) % 1_000;
        let both: Token = named(&read_set, &format!("a/{other}@5,b/0@5")).parse().unwrap();
        let of_other = format!("a/{other}@{}", 999_999 + other);
        let shown = |at: &str| both.positions.contains(&at.parse().unwrap());
        assert!(both.positions.len() == 2 && shown(&own) && shown(&of_other), "{both}");
        read_set.shows("a", (0..500).map(Uuid::from_u128));
        let page: Token = named(&read_set, "").parse().unwrap();
        assert!(page.positions.len() > 300 && page.positions.contains(&own.parse().unwrap()), "{page}");
    }
}

#[cfg(test)]
mod whole_tests {
    use daybook_projection::{SourceCheckpoint, SourceId};

    use super::*;

    #[test]
    fn an_answer_that_rests_on_a_whole_topic_names_all_of_its_partitions_as_long_as_that_fits() {
        let on = [DependsOn::Whole("a")];
        let named = |partitions: i32, requested: &str| {
            let of = (0..partitions).map(|partition| {
                let next_position = 1_000_000 + partition as u64;
                let source = SourceId { topic: "a".into(), partition };
                (source, SourceCheckpoint { next_position, ..SourceCheckpoint::default() })
            });
            let at = AsOf { checkpoint: Arc::new(Checkpoint::from_sources(of)), quarantine: Arc::default() };
            let requested: Option<Token> = requested.parse().ok();
            let header = at.header(&on, &at.read_set(&on), requested.as_ref())?;
            assert!(header.len() <= HEADER_BYTES_MAX, "{} bytes", header.len());
            Some(header.to_str().unwrap().parse::<Token>().unwrap())
        };
        for partitions in [1, PARTITIONS_NAMED_MAX, PARTITIONS_NAMED_MAX + 1, 600] {
            let token = named(partitions, "").unwrap();
            assert_eq!(token.positions.len(), partitions as usize);
            let highest = token.positions.iter().map(|at| at.position).max();
            assert_eq!(highest, Some(999_998 + partitions as u64));
        }
        assert_eq!(named(3_000, ""), None);
        assert_eq!(named(3_000, "a/7@5").unwrap().to_string(), "a/7@1000006");
    }
}

#[cfg(test)]
mod read_set_tests {
    use super::*;

    #[test]
    fn a_header_names_some_keys_and_says_that_there_are_more() {
        let mut read_set = ReadSet::default();
        assert_eq!(read_set.header(), None);
        read_set.keys.extend((0..2).map(|number| Uuid::from_u128(number).to_string()));
        let two = format!("{},{}", Uuid::from_u128(0), Uuid::from_u128(1));
        assert_eq!(read_set.header().unwrap(), two);
        read_set.keys.extend((0..=HEADER_KEYS_MAX as u128).map(|number| Uuid::from_u128(number).to_string()));
        let header = read_set.header().unwrap();
        let named: Vec<_> = header.to_str().unwrap().split(',').collect();
        assert_eq!((named.len(), named.last().copied()), (HEADER_KEYS_MAX + 1, Some(MORE)));
        assert_eq!(read_set.quarantined().len(), HEADER_KEYS_MAX + 1);
    }
}
