//! What a service keeps of other services' aggregates: whether they exist, and values of theirs. A decision reads it here, and
//! each read names the event that told of it.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;

use daybook_event::Event;
use daybook_event::event_data::EventData as _;
use daybook_service::fires;
use daybook_store::VALUE_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::aggregate::{Aggregate, topic};
use crate::command::{CommandError, DependsOn, Written};
use crate::commit::batch::{CommitBatch, DecideError};
use crate::follow::positions::FollowedPositions;
use crate::store::fields::{Damaged, Fields};
use crate::store::keys;
use crate::store::rows::Parked;

/// Bytes of one value, as JSON: a decision reads it each time, and a table may have millions of them. An event that would leave
/// a larger one parks its aggregate.
pub const REFERENCE_BYTES_MAX: usize = 8 * 1024;
// With what stands before it, a row of the store.
const _: () = assert!(REFERENCE_BYTES_MAX + 64 <= VALUE_BYTES_MAX);

/// What a service keeps of each aggregate of another service, by the events of that one's topic.
///
/// A struct without fields keeps that it exists, and nothing else. Of a type with them the value is kept:
///
/// ```
/// use daybook_command::{Existence, Followed, Reference, ReferenceUpdate};
/// use daybook_event::Event;
/// use serde::{Deserialize, Serialize};
/// use uuid::Uuid;
///
/// #[derive(Event)]
/// #[event(service = "products", topic = "products.events", prefix = "product.")]
/// enum ProductEvent {
///     #[event("priced.v1")]
///     Priced { #[key] product_id: Uuid, cents: u64 },
///     #[event("withdrawn.v1")]
///     Withdrawn { #[key] product_id: Uuid },
/// }
///
/// /// What a product costs at present.
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Price { cents: u64 }
///
/// impl Reference for Price {
///     type Event = ProductEvent;
///
///     fn update(event: ProductEvent) -> ReferenceUpdate<Self> {
///         match event {
///             ProductEvent::Priced { cents, .. } => Some(Existence::Present(Price { cents })),
///             ProductEvent::Withdrawn { .. } => Some(Existence::Gone),
///         }
///     }
/// }
///
/// /// For `Aggregate::FOLLOWS`; `Aggregate::facts` reads it with `references.get::<Price>(product_id)?`.
/// const FOLLOWS: &[Followed] = &[Followed::of::<Price>()];
/// ```
pub trait Reference: Serialize + DeserializeOwned + 'static {
    /// Events of the other service, all of one topic.
    type Event: Event;

    /// Version of what is kept, from 1: to be changed with whatever changes the value that an event leaves. What was kept in
    /// another one counts no more, and the topic is followed again from its beginning.
    const FORM: u32 = 1;

    /// What an event says of its aggregate, the value as a whole; `None` if it changes nothing of what is kept.
    fn update(event: Self::Event) -> ReferenceUpdate<Self>;
}

/// What is known of an aggregate from now on, if that changes.
pub type ReferenceUpdate<R> = Option<Existence<R>>;

/// What this service knows of another service's aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence<R> {
    /// No event of it has been followed yet.
    Unknown,
    Present(R),
    /// It existed, and will not come back.
    Gone,
}

impl<R> Existence<R> {
    pub fn present(self) -> Option<R> {
        match self {
            Self::Present(value) => Some(value),
            Self::Unknown | Self::Gone => None,
        }
    }

    pub(crate) fn try_map<S, E>(self, map: impl FnOnce(R) -> Result<S, E>) -> Result<Existence<S>, E> {
        Ok(match self {
            Self::Unknown => Existence::Unknown,
            Self::Present(value) => Existence::Present(map(value)?),
            Self::Gone => Existence::Gone,
        })
    }
}

/// A value as it is kept: JSON, or nothing where nothing but existence is.
pub(crate) type Value = Vec<u8>;

/// Another service's topic, and what is kept of its events. Their key is the id of the aggregate that they are about.
#[derive(Debug)]
pub struct Followed {
    /// The topic, without prefix.
    pub(crate) topic: &'static str,
    /// The other service's name, the `source` of its events.
    pub(crate) service: &'static str,
    /// [`Reference::FORM`]; one less where nothing but existence is kept, as it was before there were values.
    pub(crate) form: u32,
    pub(crate) keeps_values: bool,
    pub(crate) reference: fn() -> TypeId,
    /// What an event, given by type and data, says; or why that cannot be kept.
    pub(crate) read: fn(&str, &RawValue) -> Result<ReferenceUpdate<Value>, String>,
}

impl Followed {
    /// The topic, without prefix.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        self.topic
    }

    /// Follows the topic of these events.
    #[must_use]
    pub const fn of<R: Reference>() -> Self {
        assert!(R::FORM > 0, "form 0 is that of existence alone");
        let (topic, keeps_values) = (topic::<R::Event>(), size_of::<R>() > 0);
        let (topic, service) = (topic.name, topic.service);
        let form = if keeps_values { R::FORM } else { R::FORM - 1 };
        Self { topic, service, form, keeps_values, reference: TypeId::of::<R>, read: read::<R> }
    }

    #[cfg(test)]
    pub(crate) const fn reading(
        topic: &'static str,
        read: fn(&str, &RawValue) -> Result<ReferenceUpdate<Value>, String>,
    ) -> Self {
        Self { topic, service: topic, form: 0, keeps_values: false, reference: TypeId::of::<()>, read }
    }

    /// Whether no two of these are of one topic, whose positions could then mean either.
    pub(crate) const fn are_distinct(follows: &[Self]) -> bool {
        let mut at = 0;
        while at < follows.len() {
            let mut other = at + 1;
            while other < follows.len() {
                if is_same(follows[at].topic.as_bytes(), follows[other].topic.as_bytes()) {
                    return false;
                }
                other += 1;
            }
            at += 1;
        }
        true
    }
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([first, one @ ..], [second, other @ ..]) => *first == *second && is_same(one, other),
        _ => false,
    }
}

fn read<R: Reference>(event_type: &str, data: &RawValue) -> Result<ReferenceUpdate<Value>, String> {
    let event = R::Event::from_data(event_type, data).map_err(|error| error.to_string())?;
    R::update(event).map(|existence| existence.try_map(|value| encode(&value))).transpose()
}

pub(crate) fn encode<R: Reference>(value: &R) -> Result<Value, String> {
    if size_of::<R>() == 0 {
        return Ok(Value::new());
    }
    let value = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    let bytes = value.len();
    if bytes <= REFERENCE_BYTES_MAX {
        return Ok(value);
    }
    Err(format!("what is to be kept of it has {bytes} bytes, which is more than {REFERENCE_BYTES_MAX}"))
}

fn decode<R: Reference>(value: &Value) -> Result<R, Damaged> {
    let damaged = |_| Damaged { what: "reference row" };
    if value.is_empty() {
        // `struct Known;`, or `struct Known {}`.
        return serde_json::from_str("null").or_else(|_| serde_json::from_str("{}")).map_err(damaged);
    }
    serde_json::from_slice(value).map_err(damaged)
}

/// What [`Aggregate::facts`] returns.
pub type FactsOf<A> = Result<<A as Aggregate>::Facts, ReferenceError>;

/// Why what a decision has to know is not known. The service answers with it.
#[derive(Debug)]
pub struct ReferenceError(pub(crate) DecideError);

type LookUp<'r> = dyn FnMut(usize, Uuid) -> Result<Existence<Value>, DecideError> + 'r;

/// What is kept of other services' aggregates, for one decision of an aggregate of this service.
pub struct References<'r, A> {
    look_up: &'r mut LookUp<'r>,
    of: PhantomData<fn() -> A>,
}

impl<'r, A: Aggregate> References<'r, A> {
    /// `look_up` says what is kept in the table of `FOLLOWS[index]`.
    pub(crate) fn new(look_up: &'r mut LookUp<'r>) -> Self {
        const { assert!(Followed::are_distinct(A::FOLLOWS), "two of `FOLLOWS` are of one topic") }
        Self { look_up, of: PhantomData }
    }

    /// What is known of an aggregate that [`Aggregate::FOLLOWS`] has with `R`. The decision depends on it: the answer's token names
    /// the event that told of it, so that who reads with the token sees it as well.
    ///
    /// # Errors
    /// It is not known whether that is all: `facts` must hand the error on.
    pub fn get<R: Reference>(&mut self, id: Uuid) -> Result<Existence<R>, ReferenceError> {
        let found = (self.look_up)(table::<A, R>()?, id).map_err(ReferenceError)?;
        found.try_map(|value| decode(&value).map_err(|damaged| ReferenceError(damaged.into())))
    }
}

/// Index of what is kept as `R`.
pub(crate) fn table<A: Aggregate, R: Reference>() -> Result<usize, ReferenceError> {
    let table = A::FOLLOWS.iter().position(|followed| (followed.reference)() == TypeId::of::<R>());
    table.ok_or_else(|| {
        tracing::error!("{} reads {}, which its `FOLLOWS` does not have", type_name::<A>(), type_name::<R>());
        ReferenceError(CommandError::Fault.into())
    })
}

#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    /// Events, each once, in the order in which they were read.
    pub(crate) events: Vec<DependsOn>,
    /// Something was looked for that has not been heard of: it may be there, and be heard of any moment.
    pub(crate) has_unknown: bool,
}

impl ReadSet {
    /// Looks into a table that is followed. While events of the aggregate wait, or have not been followed yet, nothing is known.
    pub(crate) fn look_up(
        &mut self,
        batch: &CommitBatch<'_>,
        followed: &FollowedPositions,
        table: usize,
        id: Uuid,
    ) -> Result<Existence<Value>, DecideError> {
        let Followed { topic, form, .. } = followed.follows()[table];
        if let Some(row) = batch.get(&keys::parked(table, id))? {
            return Err(CommandError::Quarantined { topic, key: id, parked: Parked::decode(&row)? }.into());
        }
        let row = batch.get(&keys::reference(table, id))?;
        let row = row.map(|row| ReferenceRow::decode(&row)).transpose()?.filter(|row| row.form == form);
        followed.decides(table, id, row.is_some())?;
        let Some(row) = row else {
            self.has_unknown = true;
            let trusted = fires("trust-stranger");
            return Ok(if trusted { Existence::Present(Value::new()) } else { Existence::Unknown });
        };
        // A service follows a handful of topics.
        let read_from = DependsOn { table: table as u16, at: row.event_at };
        if !self.events.contains(&read_from) {
            self.events.push(read_from);
        }
        Ok(row.existence)
    }
}

/// What another service's aggregate is, and which event of its topic told of it.
///
/// `1` (present) or `2` (gone), partition and position; then, where more than existence is kept, form and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReferenceRow {
    pub(crate) existence: Existence<Value>,
    pub(crate) form: u32,
    pub(crate) event_at: Written,
}

impl ReferenceRow {
    /// `Unknown` is never stored.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let (kind, kept) = match &self.existence {
            Existence::Unknown => return None,
            Existence::Present(value) => (1, &value[..]),
            Existence::Gone => (2, &[][..]),
        };
        let Written { partition, position } = self.event_at;
        let mut row = [&[kind][..], &partition.to_be_bytes(), &position.to_be_bytes()].concat();
        if self.form > 0 {
            row.extend_from_slice(&self.form.to_be_bytes());
            row.extend_from_slice(kept);
        }
        Some(row)
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of("reference row", row);
        let ([kind], partition) = (fields.array()?, fields.i32()?);
        let event_at = Written { partition, position: fields.u64()? };
        let form = if fields.is_empty() { 0 } else { fields.u32()? };
        let existence = match kind {
            1 => Existence::Present(fields.rest().to_vec()),
            2 => Existence::Gone,
            _ => return Err(Damaged::of(&fields)),
        };
        Ok(Self { existence, form, event_at })
    }
}

/// The row of what an event says, if it changes anything.
pub(crate) fn reference_row(
    (table, id): (usize, Uuid),
    form: u32,
    update: ReferenceUpdate<Value>,
    event_at: Written,
) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    Some((keys::reference(table, id), ReferenceRow { existence: update?, form, event_at }.encode()))
}
