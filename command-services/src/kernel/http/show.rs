//! An aggregate over HTTP: its state as its service shows it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::command::{path_id, render};
use super::refusal::Refusal;
use crate::kernel::aggregate::Aggregate;
use crate::kernel::answer::Answer;
use crate::kernel::command::Decided;
use crate::kernel::service::Service;

/// Answers with the state of the aggregate that the path names; `present` refuses what is gone, `unknown` what never was.
pub(crate) async fn show<A: Aggregate>(
    service: &Service<A>,
    request: Request,
    id_name: &str,
    present: fn(&Decided<'_, A>) -> Result<Answer, A::Rejection>,
    unknown: A::Rejection,
) -> Response {
    let shown = match path_id(&request, id_name) {
        Ok(id) => load(service, id, present, unknown).await,
        Err(refusal) => Err(refusal),
    };
    match shown {
        Ok(answer) => render::<A>(answer),
        Err(refusal) => refusal.into_response(),
    }
}

async fn load<A: Aggregate>(
    service: &Service<A>,
    id: Uuid,
    present: fn(&Decided<'_, A>) -> Result<Answer, A::Rejection>,
    unknown: A::Rejection,
) -> Result<Answer, Refusal> {
    let Some(row) = service.load(id).await? else { return Err(Refusal::from(unknown.into())) };
    let shown = present(&Decided { aggregate_id: id, state: &row.state, version: row.version });
    shown.map_err(|rejection| Refusal::from(rejection.into()))
}
