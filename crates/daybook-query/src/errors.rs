//! Answers that are not what was asked for, as problems.

use std::fmt::Display;

use axum::http::{HeaderName, HeaderValue};
use daybook_event::headers;
use daybook_event::token::TokenPosition;
use daybook_projection::StoreError;
use daybook_service::http::ApiError;
use daybook_service::http::problem_types::{
    NOT_FOUND, OVERLOADED, QUARANTINED, READ_MODEL_UNREADABLE, TIMEOUT,
};

pub fn unknown(what: &str, id: impl Display) -> ApiError {
    ApiError::new(&NOT_FOUND, format!("there is no {what} {id}, or it was deleted"))
}

/// 500 because the read model cannot be read. The cause is for the log and the figures, not for the client.
pub fn unreadable(cause: &dyn Display) -> ApiError {
    let detail =
        "the read model could not be read; its operator finds the cause in the log, and a replay rebuilds it";
    ApiError::new(&READ_MODEL_UNREADABLE, detail).hiding(cause)
}

/// The same with the cause, for operators of the read model.
pub(super) fn damaged(cause: &StoreError) -> ApiError {
    ApiError::new(&READ_MODEL_UNREADABLE, cause.to_string())
}

/// 503 because no client waits for the answer any more.
pub fn given_up() -> ApiError {
    ApiError::new(&TIMEOUT, "the request was given up")
}

/// 503 because too many wait already for what is not projected yet.
pub(super) fn too_many_waiting() -> ApiError {
    let detail = format!(
        "the projection is behind, and too many requests wait for it; come again after Retry-After, or without {} for an older \
         answer",
        headers::AFTER
    );
    ApiError::new(&OVERLOADED, detail)
}

/// 503 because an event that was asked for waits.
pub(super) fn quarantined(at: &TokenPosition, key: &str) -> ApiError {
    let TokenPosition { topic, partition, position } = at;
    let detail = format!(
        "the event at {topic}/{partition}@{position} waits in quarantine with others of key {key}, and has not been \
         projected; /status says why. Come again once it is released, or without {} for an answer without it",
        headers::AFTER
    );
    let header =
        HeaderValue::try_from(key).ok().map(|key| (HeaderName::from_static(headers::QUARANTINED), key));
    ApiError::new(&QUARANTINED, detail).with("quarantined", vec![key.to_owned()]).with_headers(header)
}
