//! What a command is answered with, before it becomes HTTP; kept as it is under an idempotency key.

use schemas::problem::Problem;
use schemas::token::{Token, TokenPosition};
use serde::Serialize;

use super::aggregate::Followed;
use super::fields::{Damaged, Fields, put_bytes};

/// A position in a topic: of its service's own, if a command wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Partition of the service's topic.
    pub partition: i32,
    /// Position in that partition.
    pub position: u64,
}

/// An event of another service that a command rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestsOn {
    /// Index of the topic among those that the service follows.
    pub table: u16,
    /// The event's place in that topic.
    pub at: Written,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Version of the aggregate, if the answer shows it: the `ETag`.
    pub version: Option<u64>,
    /// Path of what was made.
    pub location: Option<String>,
    /// What was written: the token.
    pub written: Vec<Written>,
    /// What that rests on: named by the token as well.
    pub rests_on: Vec<RestsOn>,
    /// JSON; a problem if the status is 400 or more.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// An answer that shows an aggregate.
    #[must_use]
    pub fn json(status: u16, version: u64, shown: &impl Serialize) -> Self {
        // What is shown is a domain's own plain struct; should it fail all the same, the body is empty.
        let body = serde_json::to_vec(shown).unwrap_or_default();
        Self { status, version: Some(version), body, ..Self::default() }
    }

    /// An answer that refuses.
    #[must_use]
    pub fn problem(problem: &Problem) -> Self {
        // A problem is strings and numbers; should it fail all the same, the status still stands.
        Self {
            status: problem.status,
            body: serde_json::to_vec(problem).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// What was written in `topic`, and what of the topics of `follows` that rests on, as a token. None if nothing was
    /// written.
    #[must_use]
    pub fn token(&self, topic: &str, follows: &[Followed]) -> Option<Token> {
        let written = self.written.iter().map(|written| position(topic, *written));
        let rests_on = self.rests_on.iter().filter_map(|rests_on| {
            follows.get(usize::from(rests_on.table)).map(|followed| position(followed.topic, rests_on.at))
        });
        (!self.written.is_empty()).then(|| Token { positions: written.chain(rests_on).collect() })
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.status.to_be_bytes());
        to.extend_from_slice(&self.version.unwrap_or(0).to_be_bytes());
        put_bytes(to, self.location.as_deref().unwrap_or_default().as_bytes());
        // A command writes a handful of events, and rests on a few.
        to.extend_from_slice(&(self.written.len() as u16).to_be_bytes());
        for written in &self.written {
            put_written(to, written);
        }
        to.extend_from_slice(&(self.rests_on.len() as u16).to_be_bytes());
        for rests_on in &self.rests_on {
            to.extend_from_slice(&rests_on.table.to_be_bytes());
            put_written(to, &rests_on.at);
        }
        to.extend_from_slice(&self.body);
    }

    pub(crate) fn decode(mut fields: Fields<'_>) -> Result<Self, Damaged> {
        let status = fields.u16()?;
        let version = Some(fields.u64()?).filter(|version| *version > 0);
        let location = Some(fields.text()?.to_owned()).filter(|location| !location.is_empty());
        let written = (0..fields.u16()?).map(|_| written(&mut fields)).collect::<Result<_, _>>()?;
        let rests_on = (0..fields.u16()?).map(|_| rests_on(&mut fields)).collect::<Result<_, _>>()?;
        Ok(Self { status, version, location, written, rests_on, body: fields.rest().to_vec() })
    }
}

fn position(topic: &str, at: Written) -> TokenPosition {
    TokenPosition { topic: topic.to_owned(), partition: at.partition, position: at.position }
}

fn put_written(to: &mut Vec<u8>, written: &Written) {
    to.extend_from_slice(&written.partition.to_be_bytes());
    to.extend_from_slice(&written.position.to_be_bytes());
}

fn rests_on(fields: &mut Fields<'_>) -> Result<RestsOn, Damaged> {
    Ok(RestsOn { table: fields.u16()?, at: written(fields)? })
}

fn written(fields: &mut Fields<'_>) -> Result<Written, Damaged> {
    Ok(Written { partition: fields.array().map(i32::from_be_bytes)?, position: fields.u64()? })
}
