//! Tokens name positions: `orders.events/3@1042`, several joined by commas.
//!
//! A command answers with the positions that it wrote; a query takes them and waits until they have been projected.
//! Topics stand without their prefix, so a token holds across environments and says nothing about Kafka's offsets.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::explain;

/// Most partitions one token may name: all of three topics, at 1,000 each, the most that `--partitions` takes.
pub const POSITIONS_MAX: usize = 3_000;

/// One position in one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenPosition {
    /// Topic without prefix, such as `orders.events`.
    pub topic: String,
    /// Partition of that topic.
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

/// Why a text is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// One part is not `topic/partition@position`.
    #[error("`{part}` is not of the form topic/partition@position, such as orders.events/3@1042")]
    Malformed {
        /// The part in question.
        part: String,
    },
    /// More than [`POSITIONS_MAX`] partitions.
    #[error("a token names at most {POSITIONS_MAX} partitions")]
    TooMany,
}

impl Token {
    /// A token of one position.
    #[must_use]
    pub fn one(topic: &str, partition: i32, position: u64) -> Self {
        Self { positions: vec![TokenPosition { topic: topic.to_owned(), partition, position }] }
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

    /// Of each partition the highest position counts: whoever waits for it waits for all before it.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut positions: Vec<TokenPosition> = Vec::new();
        let mut found: HashMap<(&str, i32), usize> = HashMap::new();
        for part in text.split(',') {
            let (topic, partition, position) = parse(part)?;
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

fn parse(part: &str) -> Result<(&str, i32, u64), TokenError> {
    let part = part.trim();
    let malformed = || TokenError::Malformed { part: explain::shown(part) };
    let (topic, rest) = part.rsplit_once('/').ok_or_else(malformed)?;
    let (partition, position) = rest.split_once('@').ok_or_else(malformed)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if topic.is_empty() || !topic.chars().all(legal) {
        return Err(malformed());
    }
    let partition = number(partition).ok_or_else(malformed)?;
    Ok((topic, partition, number(position).ok_or_else(malformed)?))
}

/// Digits only: `from_str` alone would also take a sign.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
