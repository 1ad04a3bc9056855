//! An aggregate over HTTP: its state as its service shows it.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_service::http::{ApiError, Conditions, no_parameters, path_id, state};

use super::answer::position_header;
use crate::aggregate::Aggregate;
use crate::service::Service;

/// Answers with the state of the aggregate that the path names, or with why it is not shown. Either names the position of the
/// aggregate's last event, or a later one of its partition.
pub(super) async fn show<A: Aggregate>(service: &Service<A>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    read(service, &parts).await.unwrap_or_else(IntoResponse::into_response)
}

async fn read<A: Aggregate>(service: &Service<A>, parts: &Parts) -> Result<Response, ApiError> {
    no_parameters(&parts.uri)?;
    let conditions = Conditions::read(&parts.headers)?;
    let id = path_id(parts)?;
    let row = service.load(id).await?;
    // After the row: it holds at least what the row does.
    let stands_at = row.as_ref().and_then(|row| service.positions.last_durable(A::state_key(&row.state, id)));
    let as_of = position_header(headers::AS_OF, A::TOPIC, stands_at);
    let shown = A::shown(row.as_ref().map(|row| &row.state));
    let shown =
        shown.map(|shown| serde_json::to_vec(&shown)).map_err(|rejection| ApiError::from(rejection.into()));
    match shown {
        Ok(Ok(body)) => {
            let version = row.as_ref().map_or(0, |row| row.version);
            Ok(state(&conditions, &version.to_string(), as_of.collect(), body))
        }
        Ok(Err(error)) => Err(ApiError::fault().hiding(&error)),
        Err(rejected) => Err(rejected.with_headers(as_of)),
    }
}
