//! Service A over HTTP: its routes, bodies and answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use schemas::shop::users::UserDetails;
use serde::Deserialize;

use super::rejection::UserRejection;
use super::rules::{UserChange, UserCommand, UserState, Users};
use crate::kernel::http::{Body, command, command_on, guarded, show};
use crate::kernel::{Answer, Decided, Service};
use crate::shop::fields::present;

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
    let user_id = service.ambient.new_id();
    let build = |body: &Body| {
        let SignUp { email, name, address } = body.parse()?;
        Ok(UserCommand::SignUp(UserDetails { user_id, email, name, address }))
    };
    command(&service, request, build, signed_up).await
}

async fn show_user(State(service): Shared, request: Request) -> Response {
    show(&service, request, "user_id", shown, UserRejection::Unknown).await
}

async fn change(State(service): Shared, request: Request) -> Response {
    let build = |user_id, body: &Body| {
        let Change { email, name, address } = body.parse()?;
        Ok(UserCommand::Change(user_id, UserChange { email, name, address }))
    };
    command_on(&service, request, "user_id", build, changed).await
}

async fn delete(State(service): Shared, request: Request) -> Response {
    let build = |user_id, _: &Body| Ok(UserCommand::Delete(user_id));
    command_on(&service, request, "user_id", build, deleted).await
}

fn signed_up(decided: &Decided<'_, Users>) -> Answer {
    let location = Some(format!("/users/{}", decided.aggregate_id));
    Answer { status: 201, location, ..changed(decided) }
}

fn changed(decided: &Decided<'_, Users>) -> Answer {
    shown(decided).unwrap_or_else(|gone| Answer::problem(&gone.into()))
}

fn deleted(_: &Decided<'_, Users>) -> Answer {
    Answer::empty(204)
}

fn shown(decided: &Decided<'_, Users>) -> Result<Answer, UserRejection> {
    match decided.state {
        UserState::Active(details) => Ok(Answer::json(200, decided.version, details)),
        UserState::Deleted(_) => Err(UserRejection::Deleted),
    }
}
