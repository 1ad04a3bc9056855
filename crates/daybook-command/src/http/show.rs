//! An aggregate over HTTP: its state as its service shows it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::answer;
use super::command::path_id;
use super::refusal::{Refusal, fault};
use crate::aggregate::Aggregate;
use crate::service::Service;

/// Answers with the state of the aggregate that the path names, or with why it is not shown.
pub(super) async fn show<A: Aggregate>(
    service: &Service<A>,
    request: Request,
    id_name: &str,
    at: usize,
) -> Response {
    let shown = match path_id(&request, id_name, at) {
        Ok(id) => load(service, id).await,
        Err(refusal) => Err(refusal),
    };
    shown.map_or_else(IntoResponse::into_response, |(version, state)| answer::state(version, state))
}

async fn load<A: Aggregate>(service: &Service<A>, id: Uuid) -> Result<(u64, Vec<u8>), Refusal> {
    let row = service.load(id).await?;
    let shown = A::shown(row.as_ref().map(|row| &row.state)).map_err(|rejection| rejection.into())?;
    let state = serde_json::to_vec(shown).map_err(|error| fault(format!("the state is no JSON: {error}")))?;
    // Only what is there is shown.
    Ok((row.as_ref().map_or(0, |row| row.version), state))
}
