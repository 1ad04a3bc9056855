//! What may happen to a user. Pure.

use daybook_event::problem::ProblemType;
use schemas::users::{UserDeleted, UserDetails, UserEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::email;
use super::rejection::UserRejection;
use crate::fields::{self, InvalidField, Lines};
use daybook_command::{Aggregate, UniqueKeys};

const NAME_CHARS_MAX: usize = 200;
const ADDRESS_CHARS_MAX: usize = 500;

#[derive(Debug, Clone, Copy)]
pub struct Users;

/// What a user may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCommand {
    /// Make an account. The id is fresh.
    SignUp(UserDetails),
    Change(Uuid, UserChange),
    Delete(Uuid),
}

/// Details to change; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    pub email: Option<String>,
    pub name: Option<String>,
    pub address: Option<String>,
}

/// A user as the service knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum UserState {
    /// The account is in use.
    Active(UserDetails),
    /// The account is gone; its e-mail address is free again.
    Deleted(UserDeleted),
}

impl Aggregate for Users {
    const PROBLEMS: &'static [ProblemType] = schemas::PROBLEMS;
    const UNIQUE_KEYS: Option<UniqueKeys<Self>> =
        Some(UniqueKeys::new(email::FORM, unique_keys, |_| UserRejection::EmailTaken));

    type State = UserState;
    type Command = UserCommand;
    type Event = UserEvent;
    type Rejection = UserRejection;
    type Facts = ();

    const UNKNOWN: UserRejection = UserRejection::Unknown;

    fn decide(
        state: Option<&UserState>,
        command: &UserCommand,
        (): &(),
    ) -> Result<Vec<UserEvent>, UserRejection> {
        match command {
            UserCommand::SignUp(details) => sign_up(state, details),
            UserCommand::Change(_, change) => change_details(active(state)?, change),
            UserCommand::Delete(user_id) => {
                active(state)?;
                Ok(vec![UserEvent::Deleted(UserDeleted { user_id: *user_id })])
            }
        }
    }

    fn evolve(_: Option<UserState>, event: &UserEvent) -> UserState {
        match event {
            UserEvent::SignedUp(details) | UserEvent::Changed(details) => UserState::Active(details.clone()),
            UserEvent::Deleted(deleted) => UserState::Deleted(deleted.clone()),
        }
    }

    fn shown(state: Option<&UserState>) -> Result<impl Serialize, UserRejection> {
        active(state)
    }
}

fn unique_keys(state: &UserState) -> Vec<String> {
    match state {
        UserState::Active(details) => vec![email::unique_key(&details.email)],
        UserState::Deleted(_) => Vec::new(),
    }
}

fn active(state: Option<&UserState>) -> Result<&UserDetails, UserRejection> {
    match state {
        None => Err(UserRejection::Unknown),
        Some(UserState::Deleted(_)) => Err(UserRejection::Deleted),
        Some(UserState::Active(details)) => Ok(details),
    }
}

fn sign_up(state: Option<&UserState>, asked: &UserDetails) -> Result<Vec<UserEvent>, UserRejection> {
    if state.is_some() {
        return Err(UserRejection::AlreadySignedUp);
    }
    let details = UserDetails {
        user_id: asked.user_id,
        email: email::email("email", &asked.email)?,
        name: name(&asked.name)?,
        address: address(&asked.address)?,
    };
    Ok(vec![UserEvent::SignedUp(details)])
}

/// Only what is asked for is judged: what an older program took may be there, and stays until it is changed.
fn change_details(now: &UserDetails, change: &UserChange) -> Result<Vec<UserEvent>, UserRejection> {
    if *change == UserChange::default() {
        return Err(UserRejection::NothingToChange);
    }
    let UserDetails { user_id, email: email_now, name: name_now, address: address_now } = now.clone();
    let after = UserDetails {
        user_id,
        email: change.email.as_deref().map_or(Ok(email_now), |asked| email::email("email", asked))?,
        name: change.name.as_deref().map_or(Ok(name_now), name)?,
        address: change.address.as_deref().map_or(Ok(address_now), address)?,
    };
    Ok(if after == *now { Vec::new() } else { vec![UserEvent::Changed(after)] })
}

fn name(asked: &str) -> Result<String, InvalidField> {
    fields::text("name", asked, NAME_CHARS_MAX, Lines::One)
}

fn address(asked: &str) -> Result<String, InvalidField> {
    fields::text("address", asked, ADDRESS_CHARS_MAX, Lines::Many)
}
