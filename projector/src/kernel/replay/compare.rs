//! Before a new generation is published: does it say the same as the one that is served, at the same place in the log?

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use event_log::Kafka;
use schemas::event_data::EventData;

use super::options::{ReplayError, ReplayOptions};
use crate::kernel::catch_up::catch_up;
use crate::kernel::checkpoint::Checkpoint;
use crate::kernel::generation::{Generation, Moment};
use crate::kernel::projection::Projection;
use crate::kernel::read_model::ReadModel;
use crate::kernel::verify::{Held, HoldError, Served, parked_differently, unreadable_row};

/// How long the served generation may take to get as far as the new one; it follows the log, so it is soon there.
const COVER_TIMEOUT: Duration = Duration::from_secs(60);
/// Events that the served generation may wait for: a fraction of a second. More are followed while it goes on.
const HELD_EVENTS_MAX: u64 = 1_000;
/// How often it is tried to come that close; where events come faster than that, more of them wait.
const ROUNDS_MAX: u32 = 5;
/// Pause between two looks at it.
const COVER_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What the comparison has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// There is nothing to compare with.
    Nothing,
    /// The rows of one layout say nothing about those of another, or the published generation cannot be read at all.
    NotComparable {
        /// Which, and why.
        reason: String,
    },
    /// Both have the same rows.
    Equal {
        /// Name of the generation that was published before.
        with: String,
        /// Digest of both.
        digest: String,
    },
    /// They differ, or could not be brought to one place; that was accepted.
    Accepted {
        /// What was found.
        difference: String,
        /// Why it was accepted.
        why: String,
    },
}

/// Compares `new` with the published generation.
pub(super) fn compare<E: EventData>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    new: &Generation,
    options: &ReplayOptions,
    cancelled: &AtomicBool,
) -> Result<Comparison, ReplayError> {
    let comparing = Comparing { kafka, projection, new, cancelled };
    let found = match Served::find_repaired(read_model, projection, &options.holder) {
        Ok(None) => return Ok(Comparison::Nothing),
        Ok(Some(served)) => match comparing.with(&served) {
            Err(Unlike::Unreadable(reason)) => Ok(not_comparable(&reason)),
            Err(Unlike::Differs(difference)) => Err(difference),
            Ok(comparison) => Ok(comparison),
        },
        Err(HoldError::Generation(error)) => Ok(not_comparable(&error)),
        Err(HoldError::ReadModel(error)) if error.is_gone() => Ok(not_comparable(&error)),
        Err(error) => Err(error.to_string()),
    };
    if cancelled.load(Ordering::Relaxed) {
        let done = new.checkpoint().records();
        return Err(ReplayError::Cancelled { done, total: done });
    }
    match (found, &options.accept_difference) {
        (Ok(comparison), _) => Ok(comparison),
        (Err(difference), Some(why)) => {
            tracing::warn!("publishing all the same ({why}): {difference}");
            Ok(Comparison::Accepted { difference, why: why.clone() })
        }
        (Err(difference), None) => Err(ReplayError::Differs { difference }),
    }
}

/// Why two generations are not shown to be the same.
enum Unlike {
    /// A sentence about the difference.
    Differs(String),
    /// A row of the published one cannot be read: a sentence that says so.
    Unreadable(String),
}

impl From<String> for Unlike {
    fn from(difference: String) -> Self {
        Self::Differs(difference)
    }
}

struct Comparing<'c, E: 'static> {
    kafka: &'c Kafka,
    projection: Projection<E>,
    new: &'c Generation,
    cancelled: &'c AtomicBool,
}

impl<E: EventData> Comparing<'_, E> {
    fn with(&self, served: &Served) -> Result<Comparison, Unlike> {
        let compared = match served {
            Served::Here(name, old) => self.bring_both_together(name, old).and_then(|()| Ok(held(served)?)),
            Served::There(_) => self.hold_and_follow(served),
        };
        let layout = self.projection.layout().to_string();
        let result = compared.and_then(|held| match held {
            Held { layout: found, generation, .. } if !found.is_empty() && found != layout => {
                let reason = format!("{generation} has layout {found}, the new one has layout {layout}");
                Ok(Comparison::NotComparable { reason })
            }
            held => Ok(self.judge(held)?),
        });
        // Whatever came of it; if this fails, it goes on by itself a little later.
        if let Err(error) = served.release() {
            tracing::debug!("the served generation was not released: {error}");
        }
        result
    }

    /// Both are ours alone: each follows to where the other one is.
    fn bring_both_together(&self, name: &str, old: &Generation) -> Result<(), Unlike> {
        let brought = catch_up(self.kafka, old, self.projection, &self.new.checkpoint(), self.cancelled);
        brought.map_err(|error| match unreadable_row(&error) {
            Some(unreadable) => Unlike::Unreadable(format!("{name} cannot be read: {unreadable}")),
            None => Unlike::Differs(format!(
                "{name} cannot follow the log to where the new generation is: {error}"
            )),
        })?;
        Ok(self.follow(self.new, &old.checkpoint()).map_err(|error| {
            format!("the new generation cannot follow the log to where {name} is: {error}")
        })?)
    }

    /// Another process follows with the old one: it is held where it is not behind, and the new one follows there.
    fn hold_and_follow(&self, served: &Served) -> Result<Held, Unlike> {
        let deadline = Instant::now() + COVER_TIMEOUT;
        let layout = self.projection.layout().to_string();
        for round in 0.. {
            let held = held(served)?;
            if held.layout != layout {
                return Ok(held);
            }
            if let Some(unreadable) = held.unreadable {
                let name = held.generation;
                return Err(Unlike::Unreadable(format!("{name} cannot be read: {unreadable}")));
            }
            let (there, here) = (&held.checkpoint, self.new.checkpoint());
            let covers = there.covers(&here);
            if covers && (round >= ROUNDS_MAX || there.events() - here.events() <= HELD_EVENTS_MAX) {
                self.follow(self.new, there)?;
                return Ok(held);
            }
            served.release().map_err(|error| error.to_string())?;
            if covers {
                self.follow(self.new, there)?;
                continue;
            }
            if self.cancelled.load(Ordering::Relaxed) || Instant::now() > deadline {
                let waited_s = COVER_TIMEOUT.as_secs();
                let name = &held.generation;
                return Err(Unlike::Differs(format!(
                    "{name} did not get as far as the new generation within {waited_s} s"
                )));
            }
            thread::sleep(COVER_POLL_INTERVAL);
        }
        Err(Unlike::Differs("the rounds have no end of their own".to_owned()))
    }

    fn follow(&self, generation: &Generation, to: &Checkpoint) -> Result<(), String> {
        let followed = catch_up(self.kafka, generation, self.projection, to, self.cancelled);
        followed.map_err(|error| error.to_string())
    }

    fn judge(&self, held: Held) -> Result<Comparison, String> {
        let Moment { checkpoint, digest, quarantine } = Moment::clone(&self.new.moment());
        let digest = digest.to_string();
        let together = checkpoint.covers(&held.checkpoint) && held.checkpoint.covers(&checkpoint);
        let parked = parked_differently(&held.parked, &quarantine);
        if together && held.digest == digest && parked.is_empty() {
            return Ok(Comparison::Equal { with: held.generation, digest });
        }
        let events =
            format!("{} events in it, {} in the new one", held.checkpoint.events(), checkpoint.events());
        let parked = match parked.join(", ") {
            keys if keys.is_empty() => String::new(),
            keys => format!(
                "; {keys} wait in quarantine in one of the two only, or since another event: `projector --release KEY` projects \
                 what waits in the published one"
            ),
        };
        Err(format!(
            "{} has digest {}, the new generation {digest} ({events}){parked}",
            held.generation, held.digest
        ))
    }
}

fn held(served: &Served) -> Result<Held, String> {
    served.hold().map_err(|error| error.to_string())
}

fn not_comparable(error: &dyn Display) -> Comparison {
    tracing::warn!("the new generation is not compared with the published one: {error}");
    Comparison::NotComparable { reason: error.to_string() }
}
