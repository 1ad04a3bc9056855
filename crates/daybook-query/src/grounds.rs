//! What an answer rests on, taken before its rows are read: the answer holds at least that.

use std::sync::Arc;

use axum::http::HeaderValue;
use daybook_projection::{Checkpoint, Quarantine};

use super::marks::Marks;
use super::positions::{self, Dependency};
use super::refusal::Refusal;
use super::serving::Serving;

/// How far a generation had got, and what waited in it.
#[derive(Debug, Clone)]
pub struct Grounds {
    /// How far it had got.
    pub checkpoint: Arc<Checkpoint>,
    /// What waited.
    pub quarantine: Arc<Quarantine>,
}

impl Grounds {
    /// Those of an answer that is about to be read from `serving`. As reading a row does, it waits while a batch is written.
    ///
    /// # Errors
    /// 500 if the read model cannot be read.
    pub async fn of(serving: &Serving) -> Result<Self, Refusal> {
        let moment = serving.read(0, |generation| Ok(generation.moment())).await?;
        Ok(Self { checkpoint: moment.checkpoint.clone(), quarantine: moment.quarantine.clone() })
    }

    /// The value of `Daybook-As-Of`.
    #[must_use]
    pub fn as_of(&self, depends_on: &[Dependency]) -> Option<HeaderValue> {
        positions::as_of(&self.checkpoint, &self.quarantine, depends_on)
    }

    /// No marks yet.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks::of(self.quarantine.clone())
    }
}
