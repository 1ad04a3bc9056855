//! What the kernel asks of a domain: pure functions over states, commands and events.

use std::fmt;

use daybook_event::Rejection;
use daybook_event::event_data::{DataError, EventData};
use daybook_event::problem::ProblemType;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// One kind of aggregate, and with it one command service.
///
/// All functions are pure. The stored state is always what [`Aggregate::evolve`] makes of the events, so a store that
/// is rebuilt from the log equals the one that was lost.
pub trait Aggregate: Send + Sync + 'static {
    /// Name of the service, the `source` of its events.
    const SERVICE: &'static str;
    /// Its topic, without prefix.
    const TOPIC: &'static str;
    /// Topics of other services that it follows into tables of its own.
    const FOLLOWS: &'static [Followed] = &[];

    /// Kinds of problems that `/problems` has beside those of its own rejections: of other services of the same domain.
    const PROBLEMS: &'static [ProblemType] = &[];

    /// Which version of [`Aggregate::unique_keys`] this is. Keys of another one are built again from the states: to be changed
    /// with whatever changes the key of a state that there may be. 0 says that no state has any, and none is looked at for them;
    /// whoever begins to have some begins with 2, since directories of before may say 1.
    const UNIQUE_FORM: u32 = 0;

    /// What is known of one aggregate; also of one that is gone, so that its versions go on.
    type State: Serialize + DeserializeOwned + Send + 'static;
    /// What is asked for.
    type Command: Send + 'static;
    /// What happened.
    type Event: EventData + Send + 'static;
    /// Why a command is refused.
    type Rejection: Rejection + fmt::Debug;
    /// What a decision may know beyond its aggregate.
    type Facts;
    /// What is shown of a state.
    type Shown: Serialize;

    /// The aggregate a command is about.
    fn aggregate_id(command: &Self::Command) -> Uuid;

    /// The record key, which decides the partition: the same for all events of one aggregate.
    fn partition_key(event: &Self::Event) -> Uuid;

    /// The record key of the events of an aggregate in this state: that of [`Aggregate::partition_key`], as long as it lives.
    fn state_key(state: &Self::State) -> Uuid;

    /// Gathers what [`Aggregate::decide`] has to know; `standing` looks into the table of `FOLLOWS[index]`.
    ///
    /// Whoever is looked up here is what the command depends on: the answer's token names the event that told of it, so that
    /// who reads with the token sees it as well.
    ///
    /// # Errors
    /// Only those of `standing`.
    fn facts<E>(
        state: Option<&Self::State>,
        command: &Self::Command,
        standing: impl FnMut(usize, Uuid) -> Result<Standing, E>,
    ) -> Result<Self::Facts, E>;

    /// Decides a command. No events: the command changes nothing.
    ///
    /// # Errors
    /// A rejection by name.
    fn decide(
        state: Option<&Self::State>,
        command: &Self::Command,
        facts: &Self::Facts,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after an event.
    fn evolve(state: Option<Self::State>, event: &Self::Event) -> Self::State;

    /// What the service shows of an aggregate, as JSON: to whoever reads it, and as the answer to a command.
    ///
    /// # Errors
    /// The rejection of whoever asks for one that never was, or is gone.
    fn shown(state: Option<&Self::State>) -> Result<&Self::Shown, Self::Rejection>;

    /// What no second aggregate may have while this one is in `state`. Also of states that a command of today would not lead
    /// to; at most some hundred bytes each.
    fn unique_keys(state: &Self::State) -> Vec<String>;

    /// The rejection for a unique key that another aggregate has.
    fn taken(unique_key: &str) -> Self::Rejection;
}

/// What this service knows of another service's aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No event of it has been followed yet.
    Unknown,
    /// It exists.
    Present,
    /// It existed, and will not come back.
    Gone,
}

/// Another service's topic, and what to remember of its events. Their key is the id of the aggregate that they are about.
#[derive(Debug)]
pub struct Followed {
    /// The topic, without prefix.
    pub topic: &'static str,
    /// The other service's name, the `source` of its events.
    pub service: &'static str,
    /// What an event, given by type and data, says about whom; `None` if it changes nobody's standing.
    pub read: fn(&str, &RawValue) -> Result<Said, DataError>,
}

/// Whose standing an event changes, and to what.
pub type Said = Option<(Uuid, Standing)>;
