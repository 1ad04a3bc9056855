//! Given these events, when this command, then these events or this rejection.

use std::fmt::Debug;

use crate::{Aggregate, UniqueKeys};

pub struct Given<A: Aggregate> {
    state: Option<A::State>,
}

pub struct When<A: Aggregate> {
    decided: Result<Vec<A::Event>, A::Rejection>,
}

pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let state = events.into_iter().fold(None, |state, event| Some(A::evolve(state, &event)));
    Given { state }
}

impl<A: Aggregate> Given<A> {
    pub fn when(self, command: A::Command) -> When<A> {
        self.when_knowing(command, &A::Facts::default())
    }

    pub fn when_knowing(self, command: A::Command, facts: &A::Facts) -> When<A> {
        When { decided: A::decide(self.state.as_ref(), &command, facts) }
    }

    pub fn unique_keys(&self) -> Vec<String> {
        self.state.as_ref().map(UniqueKeys::<A>::of).unwrap_or_default()
    }
}

impl<A: Aggregate> When<A>
where
    A::Event: PartialEq + Debug,
    A::Rejection: PartialEq,
{
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.decided, Ok(events.into_iter().collect()));
    }

    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    #[track_caller]
    pub fn rejected(self, rejection: A::Rejection) {
        assert_eq!(self.decided, Err(rejection));
    }

    #[track_caller]
    pub fn rejection(self) -> A::Rejection {
        self.decided.expect_err("the command should have been rejected")
    }
}
