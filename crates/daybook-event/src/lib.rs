//! What an event looks like on the wire, and in which order events come.
//!
//! Everything here is pure: no clock, no randomness, no I/O, no Kafka. It knows CloudEvents, positions, epochs and HTTP's
//! error bodies, and no domain: which events there are is a type that implements [`event_data::EventData`].

pub mod canonical;
pub mod claim;
#[doc(hidden)]
pub mod derived;
pub mod doubt;
pub mod envelope;
pub mod event_data;
mod explain;
pub mod headers;
mod natural_key;
pub mod place;
pub mod problem;
pub mod sequence;
pub mod token;

/// How it is written the [trait](trait@Event) says.
pub use daybook_macros::Event;
pub use daybook_macros::Fields;
/// Why commands are refused, each with the problem that HTTP shows: implements `From<…> for Problem` for an enum.
///
/// ```
/// use daybook_event::Rejection;
/// use daybook_event::problem::Problem;
///
/// #[derive(Debug, Rejection)]
/// enum AccountRejection {
///     #[problem(404, "account-unknown", "there is no account with this id")]
///     Unknown,
///     #[problem(409, "too-little", "{asked} cents were asked for, and there are {there}", title = "Too little money", there = there)]
///     TooLittle { asked: i64, there: i64 },
/// }
///
/// let problem = Problem::from(AccountRejection::TooLittle { asked: 7, there: 5 });
/// assert_eq!((problem.status, problem.slug(), problem.title.as_str()), (409, "too-little", "Too little money"));
/// assert_eq!(problem.detail, "7 cents were asked for, and there are 5");
/// assert_eq!(problem.extensions["there"], 5);
/// assert_eq!(Problem::from(AccountRejection::Unknown).title, "Account unknown");
/// ```
///
/// `#[problem(status, slug, detail)]`: the detail is a format string, which may name the fields of its variant. The title is the
/// slug in words, unless `title = "…"` is another one. Whatever else has a name becomes a member of the problem.
/// `#[problem(from)]` on a variant with one field takes the problem that the field becomes, and lets `?` make the variant of it.
///
/// Refused are two variants with one slug, and a variant without a problem:
///
/// ```compile_fail
/// #[derive(daybook_event::Rejection)]
/// enum AccountRejection {
///     Unknown,
/// }
/// ```
pub use daybook_macros::Rejection;
pub use event_data::{Event, EventData, Keyed, Topic};
pub use natural_key::natural_key;
