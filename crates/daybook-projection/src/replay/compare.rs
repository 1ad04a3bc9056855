//! Before a new generation is published: does it say the same as the one that is served, at the same place in the log?

use std::fmt::Display;

use daybook_event::event_data::EventData;
use daybook_kafka::Kafka;
use daybook_service::Stop;

use super::options::{ReplayError, ReplayOptions};
use crate::catch_up::catch_up;
use crate::checkpoint::Checkpoint;
use crate::generation::Generation;
use crate::projection::Projection;
use crate::read_model::ReadModel;
use crate::stop::StopReason;
use crate::store::{GenerationError, StoreError};
use crate::verify::{GIVING_WAY_TIMES_MAX, GivingWay, LeftOut, Sample, Served, parked_differently};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    Nothing,
    /// The rows of one layout say nothing about those of another, or the published generation cannot be read at all.
    NotComparable {
        reason: String,
        /// Name of the published generation, if it is damaged: nobody is to serve it again.
        damaged: Option<String>,
    },
    Equal {
        with: String,
        digest: String,
    },
    /// The published one cannot be opened or followed at present, which may pass; that was accepted.
    NotCompared {
        reason: String,
        why: String,
    },
    Accepted {
        difference: String,
        why: String,
    },
}

pub(super) fn compare<E: EventData>(
    kafka: &Kafka,
    read_model: &ReadModel,
    projection: Projection<E>,
    new: &Generation,
    options: &ReplayOptions,
    cancelled: &Stop,
) -> Result<Comparison, ReplayError> {
    let comparing = Comparing { kafka, read_model, projection, new, options, cancelled };
    let found = comparing.compare();
    if cancelled.requested() && !matches!(found, Err(Unlike::Failed(_))) {
        let done = new.checkpoint().records();
        return Err(ReplayError::Cancelled { done, total: done });
    }
    match (found, options.accept_difference.clone()) {
        (Ok(comparison), _) => Ok(comparison),
        (Err(Unlike::Failed(error)), _) => Err(error),
        (Err(Unlike::Unreadable { name, reason }), _) => Ok(not_comparable(&reason, Some(name))),
        (Err(Unlike::NotCompared(reason)), None) => Err(ReplayError::NotCompared { reason }),
        (Err(Unlike::NotCompared(reason)), Some(why)) => {
            tracing::warn!("publishing what was not compared ({why}): {reason}");
            Ok(Comparison::NotCompared { reason, why })
        }
        (Err(Unlike::Differs(difference)), None) => Err(ReplayError::Differs { difference }),
        (Err(Unlike::Differs(difference)), Some(why)) => {
            tracing::warn!("publishing all the same ({why}): {difference}");
            Ok(Comparison::Accepted { difference, why })
        }
    }
}

/// Why two generations are not shown to be the same.
enum Unlike {
    Differs(String),
    /// They could not be brought to one place: a sentence that says why, which may pass.
    NotCompared(String),
    /// A row of the published one is damaged.
    Unreadable {
        name: String,
        reason: String,
    },
    /// The store of the new one failed, which is no difference that an operator could accept.
    Failed(ReplayError),
}

impl From<String> for Unlike {
    fn from(reason: String) -> Self {
        Self::NotCompared(reason)
    }
}

struct Comparing<'c, E: 'static> {
    kafka: &'c Kafka,
    read_model: &'c ReadModel,
    projection: Projection<E>,
    new: &'c Generation,
    options: &'c ReplayOptions,
    cancelled: &'c Stop,
}

impl<E: EventData> Comparing<'_, E> {
    /// Begins again, with the process that serves, once one means to.
    fn compare(&self) -> Result<Comparison, Unlike> {
        for _ in 0..GIVING_WAY_TIMES_MAX {
            let holder = &self.options.holder;
            let published = self.published();
            let served = match Served::find(self.read_model, self.projection, holder, self.cancelled) {
                Ok(None) => return Ok(Comparison::Nothing),
                Ok(Some(served)) => served,
                Err(error) if error.is_lasting() => {
                    // A rollback may have come in between: of another one nothing is known.
                    let is_it = error.is_damage() && self.published() == published;
                    let damaged = published.filter(|_| is_it);
                    return Ok(not_comparable(&error, damaged));
                }
                Err(error) => return Err(error.to_string().into()),
            };
            let way = GivingWay::new(self.read_model, &served, self.cancelled);
            if let Served::Local { name, generation, .. } = &served {
                generation.check_rows().map_err(|error| unreadable_one(name, &error.to_string()))?;
                let brought = self.bring_near(name, generation, &way);
                if way.gave_way() {
                    continue;
                }
                brought?;
            }
            let left_out = LeftOut::of(&served);
            return self.judge(self.sample_and_follow(served)?, left_out);
        }
        Err("processes kept starting to serve what is published".to_owned().into())
    }

    fn published(&self) -> Option<String> {
        self.read_model.current().ok().flatten()
    }

    /// It is ours alone: it follows to where the new one is.
    fn bring_near(&self, name: &str, old: &Generation, way: &GivingWay<'_>) -> Result<(), Unlike> {
        let stop = || way.stops();
        let brought = catch_up(self.kafka, old, self.projection, &self.new.checkpoint(), &stop);
        brought.map_err(|error| match error.damage() {
            Some(unreadable) => unreadable_one(name, &unreadable),
            None => Unlike::NotCompared(format!(
                "{name} cannot follow the log to where the new generation is: {error}"
            )),
        })
    }

    /// The new one follows to where the old one is, which is not kept open for that.
    fn sample_and_follow(&self, served: Served) -> Result<Sample, Unlike> {
        let stop = || self.cancelled.requested();
        let here = self.new.checkpoint();
        let sample = served.sample_covering(&here, &stop).map_err(|error| error.to_string())?;
        drop(served);
        let name = &sample.generation;
        if let Some(unreadable) = &sample.unreadable {
            return Err(unreadable_one(name, unreadable));
        }
        if !sample.checkpoint.covers(&here) {
            let stopped = sample.stopped.as_ref().map(|why| format!(": it is stopped: {why}"));
            let behind = "did not get as far as the new generation in time";
            return Err(format!("{name} {behind}{}", stopped.unwrap_or_default()).into());
        }
        self.follow(&sample.checkpoint, name)?;
        Ok(sample)
    }

    /// To where `name` is.
    fn follow(&self, to: &Checkpoint, name: &str) -> Result<(), Unlike> {
        let stop = || self.cancelled.requested();
        let followed = catch_up(self.kafka, self.new, self.projection, to, &stop);
        followed.map_err(|reason| match (reason.damage(), reason) {
            (Some(damage), _) => Unlike::Failed(self.damaged(&damage).into()),
            (None, StopReason::Store(error)) => Unlike::Failed(error.into()),
            (None, reason) => Unlike::NotCompared(format!(
                "the new generation cannot follow the log to where {name} is: {reason}"
            )),
        })
    }

    /// The next replay builds it again.
    fn damaged(&self, detail: &str) -> GenerationError {
        let error = StoreError::damaged("read", self.new.path(), detail);
        self.new.note_damaged(&error);
        error.into()
    }

    fn judge(&self, old: Sample, left_out: LeftOut) -> Result<Comparison, Unlike> {
        let new = Sample::of("the new one", &old.layout, &self.new.last_moment());
        let together = new.checkpoint.covers(&old.checkpoint) && old.checkpoint.covers(&new.checkpoint);
        let parked = parked_differently(&old.parked, &new.parked);
        if together && old.digest == new.digest && parked.is_empty() {
            return Ok(Comparison::Equal { with: old.generation, digest: new.digest });
        }
        let events =
            format!("{} events in it, {} in the new one", old.checkpoint.events(), new.checkpoint.events());
        let parked = match parked.join(", ") {
            keys if keys.is_empty() => String::new(),
            keys => format!(
                "; {keys} wait in quarantine in one of the two only, or since another event: `projector --release KEY` projects \
                 what waits in the published one"
            ),
        };
        let lost = left_out.lost_note(&self.options.skipped);
        let lost = lost.map_or_else(String::new, |lost| format!("; {lost}"));
        Err(Unlike::Differs(format!(
            "{} has digest {}, the new generation {} ({events}){parked}{lost}",
            old.generation, old.digest, new.digest
        )))
    }
}

fn unreadable_one(name: &str, detail: &str) -> Unlike {
    Unlike::Unreadable { name: name.to_owned(), reason: format!("{name} cannot be read: {detail}") }
}

fn not_comparable(error: &dyn Display, damaged: Option<String>) -> Comparison {
    tracing::warn!("the new generation is not compared with the published one: {error}");
    Comparison::NotComparable { reason: error.to_string(), damaged }
}
