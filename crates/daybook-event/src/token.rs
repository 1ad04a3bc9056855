//! Tokens name positions: `orders.events/3@1042`, several joined by commas.
//!
//! A command answers with the positions that it wrote; a query takes them and waits until they have been projected.
//! Topics stand without their prefix, so a token holds across environments and says nothing about Kafka's offsets.
//!
//! A token of so many positions that it would not fit into a header of [`HEADER_BYTES_MAX`] is packed, topic by topic
//! (`products.events/*@…`); it is read like any other, and says the same.

mod packed;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use crate::explain;

/// Most partitions one token may name: all of three topics, at 1,000 each, the most that `--partitions` takes.
pub const POSITIONS_MAX: usize = 3_000;

/// Bytes of a header up to which a token is written out: proxies and clients refuse longer ones.
pub const HEADER_BYTES_MAX: usize = 2_000;

/// What stands for all partitions of a topic whose positions are packed.
const ALL: &str = "*";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenPosition {
    /// Topic without prefix, such as `orders.events`.
    pub topic: String,
    pub partition: i32,
    /// Position in that partition, from 0.
    pub position: u64,
}

/// Positions, as they travel in `Daybook-Token`, `Daybook-After` and `Daybook-As-Of`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// The positions, in the order given; read from a text, one of each partition.
    pub positions: Vec<TokenPosition>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("`{part}` is not of the form topic/partition@position, such as orders.events/3@1042")]
    Malformed { part: String },
    #[error("a token names at most {POSITIONS_MAX} partitions")]
    TooMany,
}

impl Token {
    pub fn one(topic: &str, partition: i32, position: u64) -> Self {
        Self { positions: vec![TokenPosition { topic: topic.to_owned(), partition, position }] }
    }

    /// As the value of a header: packed if it would be too long.
    pub fn to_header(&self) -> String {
        let plain = self.to_string();
        if plain.len() <= HEADER_BYTES_MAX { plain } else { self.packed() }
    }

    fn packed(&self) -> String {
        let mut topics: BTreeMap<&str, BTreeMap<i32, u64>> = BTreeMap::new();
        for TokenPosition { topic, partition, position } in &self.positions {
            let highest = topics.entry(topic).or_default().entry(*partition).or_insert(*position);
            *highest = (*highest).max(*position);
        }
        let packed = topics.into_iter().map(|(topic, positions)| {
            let positions: Vec<_> = positions.into_iter().collect();
            format!("{topic}/{ALL}@{}", packed::write(&positions))
        });
        packed.collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, at) in self.positions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}/{}@{}", at.topic, at.partition, at.position)?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Of each partition the highest position counts: a wait for it is a wait for all before it.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut positions: Vec<TokenPosition> = Vec::new();
        let mut found: HashMap<(&str, i32), usize> = HashMap::new();
        for part in text.split(',') {
            for (topic, partition, position) in parts(part)? {
                if let Some(index) = found.get(&(topic, partition)) {
                    let at = &mut positions[*index];
                    at.position = at.position.max(position);
                    continue;
                }
                if positions.len() == POSITIONS_MAX {
                    return Err(TokenError::TooMany);
                }
                found.insert((topic, partition), positions.len());
                positions.push(TokenPosition { topic: topic.to_owned(), partition, position });
            }
        }
        Ok(Self { positions })
    }
}

impl FromStr for TokenPosition {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let (topic, partition, position) = parse(text)?;
        Ok(Self { topic: topic.to_owned(), partition, position })
    }
}

/// The positions that one part names: one, or those that are packed in it.
fn parts(part: &str) -> Result<Vec<(&str, i32, u64)>, TokenError> {
    let part = part.trim();
    let Some((topic, packed)) = part.split_once("/*@") else { return Ok(vec![parse(part)?]) };
    let malformed = || TokenError::Malformed { part: explain::shown(part) };
    let positions = packed::read(packed).filter(|_| is_topic(topic)).ok_or_else(malformed)?;
    Ok(positions.into_iter().map(|(partition, position)| (topic, partition, position)).collect())
}

fn is_topic(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.chars().all(legal)
}

fn parse(part: &str) -> Result<(&str, i32, u64), TokenError> {
    let part = part.trim();
    let malformed = || TokenError::Malformed { part: explain::shown(part) };
    let (topic, rest) = part.rsplit_once('/').ok_or_else(malformed)?;
    let (partition, position) = rest.split_once('@').ok_or_else(malformed)?;
    if !is_topic(topic) {
        return Err(malformed());
    }
    let partition = number(partition).ok_or_else(malformed)?;
    Ok((topic, partition, number(position).ok_or_else(malformed)?))
}

fn number<T: FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
