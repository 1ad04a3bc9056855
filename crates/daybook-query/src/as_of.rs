//! What an answer rests on: the positions that the served generation had projected before its rows were read.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::HeaderValue;
use daybook_kafka::partition_for_key;
use daybook_projection::{Checkpoint, Quarantine};
use daybook_service::http::ApiError;
use uuid::Uuid;

use super::affected::AffectedKeys;
use super::serving::Serving;

/// What an answer is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependsOn {
    /// All events of one key of a topic (without prefix).
    Key(&'static str, Uuid),
    /// Events of any key of a topic.
    Topic(&'static str),
}

/// How far a generation had got, and what waited in it.
#[derive(Debug, Clone)]
pub struct AsOf {
    /// How far it had got.
    pub checkpoint: Arc<Checkpoint>,
    /// What waited.
    pub quarantine: Arc<Quarantine>,
}

impl AsOf {
    /// That of an answer that is about to be read from `serving`. As reading a row does, it waits while a batch is written.
    ///
    /// # Errors
    /// 500 if the read model cannot be read.
    pub(super) async fn of(serving: &Serving) -> Result<Self, ApiError> {
        let moment = serving.read(0, |generation| Ok(generation.moment())).await?;
        Ok(Self { checkpoint: moment.checkpoint.clone(), quarantine: moment.quarantine.clone() })
    }

    /// The value of `Daybook-As-Of`. An event that waits in quarantine is never named. Partitions of which nothing has been
    /// projected are left out; `None` if that leaves nothing.
    #[must_use]
    pub fn header(&self, depends_on: &[DependsOn]) -> Option<HeaderValue> {
        let partitions: Vec<_> = depends_on.iter().map(|on| self.partitions(on)).collect();
        let mut text = String::new();
        for (source, at) in self.checkpoint.sources() {
            let is_it = |(topic, only): &(&str, Option<i32>)| {
                *topic == &*source.topic && only.is_none_or(|only| only == source.partition)
            };
            let position = self.quarantine.last_projected(source, at.next_position);
            if let Some(position) = position.filter(|_| partitions.iter().any(is_it)) {
                let comma = if text.is_empty() { "" } else { "," };
                // Writing to a String cannot fail.
                let _written = write!(text, "{comma}{source}@{position}");
            }
        }
        HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
    }

    /// Keys among these of which events wait; of a whole topic none yet.
    #[must_use]
    pub fn affected(&self, depends_on: &[DependsOn]) -> AffectedKeys {
        let mut affected = AffectedKeys::of(self.quarantine.clone());
        for on in depends_on {
            if let DependsOn::Key(topic, key) = on {
                affected.depends_on(topic, |of| of == *key);
            }
        }
        affected
    }

    fn partitions(&self, on: &DependsOn) -> (&'static str, Option<i32>) {
        match on {
            DependsOn::Topic(topic) => (topic, None),
            DependsOn::Key(topic, key) => {
                let mut text = Uuid::encode_buffer();
                let key = key.as_hyphenated().encode_lower(&mut text).as_bytes();
                (topic, Some(partition_for_key(key, self.checkpoint.partitions(topic))))
            }
        }
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
        let shown = |on: &[DependsOn]| at.header(on).map(|value| value.to_str().unwrap().to_owned());
        let key = Uuid::from_u128(7);
        let partition = partition_for_key(key.to_string().as_bytes(), 2);
        let b = if partition == 0 { "b/0@0" } else { "b/1@8" };
        let both = format!("a/0@2,a/2@6,{b}");
        assert_eq!(shown(&[DependsOn::Key("b", key), DependsOn::Topic("a")]), Some(both));
        assert_eq!(shown(&[DependsOn::Topic("c")]), None);
        assert_eq!(shown(&[]), None);
    }
}
