//! Events that know where they are: in which topic, by whom, and under which key.

use uuid::Uuid;

use super::EventData;

/// A topic of events, and the service that alone may write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    pub name: &'static str,
    /// Name of the service, as the `source` of its events says it.
    pub service: &'static str,
}

/// The events of one topic, or any event of several: an enum that derives it.
///
/// ```
/// use daybook_event::{Event, EventData, Fields};
/// use uuid::Uuid;
///
/// /// What happened to an account. It lies in one topic, which one service writes.
/// #[derive(Debug, PartialEq, Event)]
/// #[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.")]
/// enum AccountEvent {
///     /// Written as `bank.account.opened.v2`. Version 1 is read as well.
///     #[event("opened.v2")]
///     #[upcast(from = "opened.v1", with = without_limit)]
///     Opened(Opened),
///     #[event("withdrawn.v1")]
///     Withdrawn { #[key] account_id: Uuid, cents: i64 },
/// }
///
/// /// Fields that have a type of their own.
/// #[derive(Debug, PartialEq, Fields)]
/// struct Opened {
///     #[key]
///     account_id: Uuid,
///     owner: String,
///     limit_cents: Option<i64>,
/// }
///
/// /// What version 1 had.
/// #[derive(serde::Deserialize)]
/// struct OpenedV1 {
///     account_id: Uuid,
///     owner: String,
/// }
///
/// fn without_limit(old: OpenedV1) -> Opened {
///     Opened { account_id: old.account_id, owner: old.owner, limit_cents: None }
/// }
///
/// let account_id = Uuid::from_u128(7);
/// let event = AccountEvent::Withdrawn { account_id, cents: 5 };
/// assert_eq!((event.event_type(), event.key()), ("bank.account.withdrawn.v1", account_id));
/// assert_eq!(event.to_data()?.get(), format!(r#"{{"account_id":"{account_id}","cents":5}}"#));
///
/// let old = serde_json::value::to_raw_value(&serde_json::json!({ "account_id": account_id, "owner": "Ada" }))?;
/// let opened = Opened { account_id, owner: "Ada".to_owned(), limit_cents: None };
/// assert_eq!(AccountEvent::from_data("bank.account.opened.v1", &old)?, AccountEvent::Opened(opened));
///
/// /// Any event of the bank, for those who read several topics.
/// #[derive(Debug, PartialEq, Event)]
/// enum BankEvent {
///     Account(AccountEvent),
/// }
/// assert_eq!(BankEvent::TOPICS[0].name, "accounts.events");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// - A variant is written under the type name that `prefix` and its own name make, which ends with its version, `.v1` and so on.
///   Its fields are its own, or those of one type that derives [`Fields`](macro@crate::Fields).
/// - Each version before the one that is written is read through an `#[upcast]`: its `with` makes the next version of it, and
///   that of the last one the variant's type, or the event itself if the fields are the variant's own.
/// - The field with `#[key]`, a UUID, is the record key: events with the same key are in order. Where it has one name in all
///   variants, `key = account_id` beside the `prefix` says so once.
///
/// Refused are two types with one name, a version that no upcast reads, a variant without a version, two keys and no key:
///
/// ```compile_fail
/// use daybook_event::Event;
///
/// #[derive(Event)]
/// #[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.")]
/// enum AccountEvent {
///     #[event("opened.v2")] // `opened.v1` is read by nothing.
///     Opened { #[key] account_id: uuid::Uuid },
/// }
/// ```
///
/// ```compile_fail
/// use daybook_event::Event;
///
/// #[derive(Event)]
/// #[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.")]
/// enum AccountEvent {
///     #[event("opened.v1")]
///     Opened { #[key] account_id: String }, // A key is a UUID.
/// }
/// ```
///
/// ```compile_fail
/// use daybook_event::{Event, Fields};
///
/// #[derive(Fields)]
/// struct Opened { account_id: uuid::Uuid } // None of its fields is the key.
///
/// #[derive(Event)]
/// #[event(service = "accounts", topic = "accounts.events", prefix = "bank.account.")]
/// enum AccountEvent {
///     #[event("opened.v1")]
///     Opened(Opened),
/// }
/// ```
///
/// ```compile_fail
/// use daybook_event::Event;
///
/// #[derive(Event)]
/// #[event(service = "a", topic = "a.events", prefix = "bank.")]
/// enum A { #[event("opened.v1")] Opened { #[key] id: uuid::Uuid } }
///
/// #[derive(Event)]
/// #[event(service = "b", topic = "b.events", prefix = "bank.account.")]
/// enum B { #[event("opened.v1")] Opened { #[key] id: uuid::Uuid } }
///
/// #[derive(Event)]
/// enum Either { A(A), B(B) } // `bank.account.opened.v1` may be of either.
/// ```
#[diagnostic::on_unimplemented(note = "`#[derive(Event)]` makes events of an enum")]
pub trait Event: EventData {
    /// The topics in which these events are.
    const TOPICS: &'static [Topic];
    /// What the names of their types begin with, one for each topic.
    const PREFIXES: &'static [&'static str];
    const NEWEST: &'static [&'static str];

    /// The record key: events with the same key are in one partition, and so in order.
    fn key(&self) -> Uuid;

    /// Whether a type's name is of these events, known or not.
    #[inline]
    fn is_named(event_type: &str) -> bool {
        Self::PREFIXES.iter().any(|prefix| event_type.starts_with(prefix))
    }
}

/// Fields of an event that have its key among them. `#[derive(Fields)]` writes it for a struct with a `#[key]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no field with `#[key]`",
    label = "an event of this has no key",
    note = "events with the same key are in order: derive `Fields`, and mark the field whose order it is"
)]
pub trait Keyed {
    fn key(&self) -> Uuid;
}
