//! What a service keeps of others, as a test says, for the facts of a decision.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use uuid::Uuid;

use crate::references::{Value, encode, table};
use crate::{Aggregate, Existence, Reference, ReferenceError, References};

pub struct Known<A> {
    kept: BTreeMap<(usize, Uuid), Existence<Value>>,
    of: PhantomData<A>,
}

impl<A: Aggregate> Known<A> {
    /// Nothing has been heard of anybody.
    pub fn nothing() -> Self {
        Self { kept: BTreeMap::new(), of: PhantomData }
    }

    #[must_use]
    pub fn with<R: Reference>(mut self, id: Uuid, existence: Existence<R>) -> Self {
        let value = existence.try_map(|value| encode(&value)).unwrap();
        self.kept.insert((table::<A, R>().unwrap(), id), value);
        self
    }

    pub fn facts(&self, state: Option<&A::State>, command: &A::Command) -> Result<A::Facts, ReferenceError> {
        let found = |table, id| self.kept.get(&(table, id)).cloned().unwrap_or(Existence::Unknown);
        A::facts(state, command, &mut References::new(&mut |table, id| Ok(found(table, id))))
    }
}
