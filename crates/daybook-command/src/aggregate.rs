//! What the kernel asks of a domain: pure functions over states, commands and events.

use std::fmt;

use daybook_event::problem::{Problem, ProblemType};
use daybook_event::{Event, Rejection, Topic};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::references::{FactsOf, Followed, References};

/// One kind of aggregate, and with it one command service.
///
/// All functions are pure. The stored state is always what [`Aggregate::evolve`] makes of the events, so a store that
/// is rebuilt from the log equals the one that was lost.
pub trait Aggregate: Sized + Send + Sync + 'static {
    /// Name of the service, the `source` of its events.
    const SERVICE: &'static str = topic::<Self::Event>().service;
    /// Its topic, without prefix.
    const TOPIC: &'static str = topic::<Self::Event>().name;
    /// Topics of other services that it follows into tables of its own. The tables are numbered in this order: a new topic goes
    /// behind those that are there.
    const FOLLOWS: &'static [Followed] = &[];

    /// Kinds of problems that `/problems` has beside those of its own rejections: of other services of the same domain.
    const PROBLEMS: &'static [ProblemType] = &[];

    /// What no two aggregates may have at once, if there is something of that kind.
    const UNIQUE_KEYS: Option<UniqueKeys<Self>> = None;

    /// What is known of one aggregate; also of one that is gone, so that its versions go on.
    type State: Serialize + DeserializeOwned + Send + 'static;
    type Command: Send + 'static;
    type Event: Event + Send + 'static;
    type Rejection: Rejection + fmt::Debug;
    /// What a decision may know beyond its aggregate; `()` if that is nothing.
    type Facts: Default;

    /// Why one is not shown that never was.
    const UNKNOWN: Self::Rejection;

    /// The record key of the events of an aggregate in this state, as long as it lives: its own id, unless a service says
    /// otherwise.
    fn state_key(state: &Self::State, id: Uuid) -> Uuid {
        _ = state;
        id
    }

    /// Gathers what [`Aggregate::decide`] has to know of other services' aggregates. Nothing is gathered unless a service says
    /// otherwise.
    ///
    /// # Errors
    /// Only those of `references`.
    fn facts(
        state: Option<&Self::State>,
        command: &Self::Command,
        references: &mut References<'_, Self>,
    ) -> FactsOf<Self> {
        _ = (state, command, references);
        Ok(Self::Facts::default())
    }

    /// Decides a command. No events: the command changes nothing.
    fn decide(
        state: Option<&Self::State>,
        command: &Self::Command,
        facts: &Self::Facts,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    fn evolve(state: Option<Self::State>, event: &Self::Event) -> Self::State;

    /// What the service shows of an aggregate, as JSON: to whoever reads it, and as the answer to a command. Its state, unless a
    /// service says otherwise.
    ///
    /// # Errors
    /// The rejection of whoever asks for one that never was, or is gone.
    fn shown(state: Option<&Self::State>) -> Result<impl Serialize, Self::Rejection> {
        state.ok_or(Self::UNKNOWN)
    }
}

/// The one topic of these events.
pub(crate) const fn topic<E: Event>() -> Topic {
    assert!(
        E::TOPICS.len() == 1,
        "the events of an aggregate, and those that are followed, are in one topic"
    );
    E::TOPICS[0]
}

/// What no second aggregate may have while one has it.
#[derive(Debug)]
pub struct UniqueKeys<A: Aggregate> {
    form: u32,
    of: fn(&A::State) -> Vec<String>,
    taken: fn(&str) -> A::Rejection,
}

impl<A: Aggregate> UniqueKeys<A> {
    /// `of` gives the keys of a state, also of one that a command of today would not lead to; at most some hundred bytes each.
    /// `taken` is the rejection for a key that another aggregate has.
    ///
    /// `form` is the version of `of`. Keys of another one are built again from the states: it is to be changed with whatever
    /// changes the key of a state that there may be. A service that begins to have keys begins with 2, since directories of
    /// before may say 1.
    ///
    /// # Panics
    /// For form 0, which is that of a service without unique keys; in a constant while it is compiled.
    #[must_use]
    pub const fn new(form: u32, of: fn(&A::State) -> Vec<String>, taken: fn(&str) -> A::Rejection) -> Self {
        assert!(form > 0, "form 0 is that of no keys");
        Self { form, of, taken }
    }

    /// The form of an aggregate's keys; 0 if it has none, and no state is looked at for them.
    #[must_use]
    pub fn form() -> u32 {
        A::UNIQUE_KEYS.map_or(0, |keys| keys.form)
    }

    #[must_use]
    pub fn of(state: &A::State) -> Vec<String> {
        A::UNIQUE_KEYS.map_or_else(Vec::new, |keys| (keys.of)(state))
    }

    /// Why a command is refused that would take a key of another aggregate.
    pub(crate) fn taken(key: &str) -> Option<Problem> {
        A::UNIQUE_KEYS.map(|keys| (keys.taken)(key).into())
    }
}
