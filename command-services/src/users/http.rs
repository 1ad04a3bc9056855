//! Service A over HTTP: its routes, and the bodies that they take.

use daybook_command::http::Routes;
use schemas::users::UserDetails;
use serde::Deserialize;

use super::rules::{UserChange, UserCommand, Users};
use crate::fields::present;

#[must_use]
pub fn routes() -> Routes<Users> {
    Routes::of("/users", "user_id")
        .create(|user_id, SignUp { email, name, address }| {
            UserCommand::SignUp(UserDetails { user_id, email, name, address })
        })
        .change(|user_id, Change { email, name, address }| {
            UserCommand::Change(user_id, UserChange { email, name, address })
        })
        .delete(UserCommand::Delete)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    email: String,
    name: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    email: Option<String>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    address: Option<String>,
}
