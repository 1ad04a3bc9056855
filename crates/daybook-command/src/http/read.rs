//! An aggregate over HTTP: its state as its service shows it.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use daybook_event::headers;
use daybook_service::http::{ApiError, Conditions, no_parameters, path_id, state};

use super::answer::position_header;
use crate::aggregate::Aggregate;
use crate::service::Service;

/// Answers with the state of the aggregate that the path names, or with why it is not shown. Either names the position of the
/// aggregate's last event, or a later one of its partition.
pub async fn show<A: Aggregate>(service: &Service<A>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    read(service, &parts).await.unwrap_or_else(IntoResponse::into_response)
}

async fn read<A: Aggregate>(service: &Service<A>, parts: &Parts) -> Result<Response, ApiError> {
    no_parameters(&parts.uri)?;
    let conditions = Conditions::read(&parts.headers)?;
    let Some(row) = service.load(path_id(parts)?).await? else {
        return Err(A::shown(None).err().map_or_else(ApiError::fault, |rejection| rejection.into().into()));
    };
    // After the row: it holds at least what the row does.
    let stands_at = service.positions.last_durable(A::state_key(&row.state));
    let as_of: HeaderMap = position_header(headers::AS_OF, A::TOPIC, stands_at).collect();
    match A::shown(Some(&row.state)) {
        Ok(shown) => {
            let body = serde_json::to_vec(shown).map_err(|error| ApiError::fault().hiding(&error))?;
            Ok(state(&conditions, &row.version.to_string(), as_of, body))
        }
        Err(rejection) => Err(ApiError::from(rejection.into()).with_headers(position_header(
            headers::AS_OF,
            A::TOPIC,
            stands_at,
        ))),
    }
}
