//! Service A over HTTP: its routes, bodies and answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use schemas::users::UserDetails;
use serde::Deserialize;

use super::rules::{UserChange, UserCommand, Users};
use crate::fields::present;
use daybook_command::Service;
use daybook_command::http::{Body, command_on, command_on_new, guarded, show};

type Shared = State<Arc<Service<Users>>>;

/// The routes of service A.
pub(crate) fn router(service: Arc<Service<Users>>) -> Router {
    let routes = Router::new()
        .route("/users", post(sign_up))
        .route("/users/{user_id}", get(show_user).patch(change).delete(delete));
    guarded(routes, service)
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

async fn sign_up(State(service): Shared, request: Request) -> Response {
    let build = |user_id, body: &Body| {
        let SignUp { email, name, address } = body.parse()?;
        Ok(UserCommand::SignUp(UserDetails { user_id, email, name, address }))
    };
    command_on_new(&service, request, build).await
}

async fn show_user(State(service): Shared, request: Request) -> Response {
    show(&service, request).await
}

async fn change(State(service): Shared, request: Request) -> Response {
    let build = |user_id, body: &Body| {
        let Change { email, name, address } = body.parse()?;
        Ok(UserCommand::Change(user_id, UserChange { email, name, address }))
    };
    command_on(&service, request, build).await
}

async fn delete(State(service): Shared, request: Request) -> Response {
    let build = |user_id, _: &Body| Ok(UserCommand::Delete(user_id));
    command_on(&service, request, build).await
}
