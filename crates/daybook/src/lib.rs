//! Event-sourced services on Kafka: a domain is a few pure functions, and everything around them is here.
//!
//! A *command service* decides commands into events, an [`Aggregate`] with its [`Routes`](prelude::Routes), and brings them to
//! Kafka, each once and in order. A *projection* folds events into rows, each table of them a [`View`], and
//! [`Queries`](prelude::Queries) answer from them. An [`App`] is the program of both.
//!
//! `examples/bank.rs` is a whole one; `testing` checks it. `ARCHITECTURE.md` of the repository shows how it works inside.
//!
//! What happens is an enum of events, each with a version that stays for ever:
//!
//! ```
//! use daybook::prelude::*;
//!
//! #[derive(Debug, Clone, PartialEq, Event)]
//! #[event(service = "lamps", topic = "lamps.events", prefix = "house.lamp.", key = lamp)]
//! enum LampEvent {
//!     #[event("made.v1")]
//!     Made { lamp: Uuid },
//!     #[event("switched.v1")]
//!     Switched { lamp: Uuid },
//! }
//! assert_eq!(LampEvent::NEWEST, ["house.lamp.made.v1", "house.lamp.switched.v1"]);
//! ```
//!
//! A rule is a function from a state and a command to events, or to a rejection with a name:
//!
//! ```
//! # use daybook::prelude::*;
//! # #[derive(Debug, Clone, PartialEq, Event)]
//! # #[event(service = "lamps", topic = "lamps.events", prefix = "house.lamp.", key = lamp)]
//! # enum LampEvent {
//! #     #[event("made.v1")]
//! #     Made { lamp: Uuid },
//! #     #[event("switched.v1")]
//! #     Switched { lamp: Uuid },
//! # }
//! #[derive(Debug, PartialEq, Rejection)]
//! enum Refused {
//!     #[problem(404, "lamp-unknown", "there is no lamp with this id")]
//!     Unknown,
//!     #[problem(409, "lamp-broken", "it was switched {times} times, and is broken")]
//!     Broken { times: u32 },
//! }
//!
//! enum Command {
//!     Make(Uuid, Nothing),
//!     Switch(Uuid, Nothing),
//! }
//!
//! #[derive(Body)]
//! struct Nothing {}
//!
//! /// What the service knows of a lamp, and shows.
//! #[derive(Default, Fields)]
//! struct Lamp {
//!     times: u32,
//! }
//!
//! impl Aggregate for Lamp {
//!     type State = Self;
//!     type Command = Command;
//!     type Event = LampEvent;
//!     type Rejection = Refused;
//!     type Facts = ();
//!     const UNKNOWN: Refused = Refused::Unknown;
//!
//!     fn decide(now: Option<&Self>, command: &Command, (): &()) -> Result<Vec<LampEvent>, Refused> {
//!         match (command, now) {
//!             (Command::Make(lamp, _), _) => Ok(vec![LampEvent::Made { lamp: *lamp }]),
//!             (Command::Switch(..), None) => Err(Refused::Unknown),
//!             (Command::Switch(..), Some(Lamp { times })) if *times > 999 => Err(Refused::Broken { times: *times }),
//!             (Command::Switch(lamp, _), Some(_)) => Ok(vec![LampEvent::Switched { lamp: *lamp }]),
//!         }
//!     }
//!
//!     fn evolve(now: Option<Self>, event: &LampEvent) -> Self {
//!         let Self { times } = now.unwrap_or_default();
//!         match event {
//!             LampEvent::Made { .. } => Self { times },
//!             LampEvent::Switched { .. } => Self { times: times + 1 },
//!         }
//!     }
//! }
//!
//! // POST /lamps, POST /lamps/{lamp}/switch, GET /lamps/{lamp}
//! let routes = Routes::<Lamp>::of("/lamps", "lamp").create(Command::Make).action("switch", Command::Switch);
//! assert_eq!(routes.iter().count(), 2);
//! # let app = App::new("house", "Lamps").commands(routes);
//! # app.check().unwrap();
//! ```
//!
//! A view is a function from a row and a change to a row; a query for one of its rows is a line:
//!
//! ```
//! # use daybook::prelude::*;
//! # #[derive(Debug, Clone, PartialEq, Event)]
//! # #[event(service = "lamps", topic = "lamps.events", prefix = "house.lamp.", key = lamp)]
//! # enum LampEvent {
//! #     #[event("switched.v1")]
//! #     Switched { lamp: Uuid },
//! # }
//! struct Switches;
//!
//! impl View for Switches {
//!     type Event = LampEvent;
//!     type Change = ();
//!     type Row = u64;
//!     const ID: u8 = 1;
//!     const NAME: &'static str = "switches";
//!     const BY_RECORD_KEY: bool = true;
//!
//!     fn change(event: &LampEvent) -> Option<(Uuid, ())> {
//!         Some((event.key(), ()))
//!     }
//!
//!     fn fold(row: Option<u64>, (): (), _: &EventMeta<'_>, _: &mut Parts<'_>) -> Folded<u64> {
//!         Ok(Some(row.unwrap_or(0) + 1))
//!     }
//! }
//!
//! const HOUSE: Projection<LampEvent> = Projection::of(1, &[ViewEntry::of::<Switches>()]);
//!
//! // {"lamp":"…","switches":3}
//! let queries = Queries::new().row::<Switches>("/lamps/{lamp}");
//! # let app = App::new("house", "Lamps").queries(HOUSE, queries);
//! # app.check().unwrap();
//! ```
//!
//! Several aggregates in one service, and process managers, are not there.
#![warn(missing_docs)]

mod app;
mod deployment;
pub mod prelude;
mod program;
mod running;
#[cfg(feature = "testing")]
pub mod testing;

#[doc(no_inline)]
pub use daybook_command as command;
#[doc(no_inline)]
pub use daybook_event as event;
#[doc(no_inline)]
pub use daybook_kafka as kafka;
#[doc(no_inline)]
pub use daybook_projection as projection;
#[doc(no_inline)]
pub use daybook_query as query;
#[doc(no_inline)]
pub use daybook_service as service;

pub use app::App;
pub use daybook_command::Aggregate;
pub use daybook_projection::View;
pub use deployment::{AppSettings, Deployment, DeploymentFlags, Sandbox, SandboxError, Site};
pub use running::{AppError, Running};
