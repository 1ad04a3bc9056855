//! Why a request is not answered as asked: a problem, and when to try again. The one place that maps the kernel's errors
//! to HTTP; a domain's rejections are mapped by its service.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::problem::{MEDIA_TYPE, Problem};

use crate::kernel::command::Undecided;
use crate::kernel::followed::AwaitError;
use crate::kernel::places::Busy;
use crate::kernel::service::{AfterError, ExecuteError, LoadError};

/// What a client should wait, in seconds, before it repeats a request that met a passing obstacle.
const RETRY_AFTER_S: u16 = 1;

/// A problem, and when to try again.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    problem: Problem,
    retry_after_s: Option<u16>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem::new(status.as_u16(), slug, title, detail).into()
    }

    /// 400 for a header that cannot be understood.
    pub(crate) fn header(name: &str, detail: impl Into<String>) -> Self {
        let problem = Problem::new(400, "malformed-header", "Malformed header", detail);
        problem.with("header", name).into()
    }

    /// 503: the same request may succeed a little later.
    pub(crate) fn unavailable(slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, detail).retry()
    }

    fn retry(self) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..self }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, retry_after_s: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // A problem is strings and numbers; should it fail all the same, the status still stands.
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = body.into_response();
        *response.status_mut() =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Undecided> for Refusal {
    fn from(undecided: Undecided) -> Self {
        let detail = undecided.to_string();
        match undecided {
            Undecided::QueueFull => Self::unavailable("busy", "Too many commands", detail),
            Undecided::OutboxFull { .. } => Self::unavailable("outbox-full", "Outbox full", detail),
            Undecided::JournalFull { .. } => Self::unavailable("journal-full", "Journal full", detail),
            Undecided::KeysFull { .. } => {
                Self::unavailable("idempotency-keys-full", "Too many idempotency keys", detail)
            }
            Undecided::KeyUnreadable { .. } => Self::unavailable("key-unreadable", "Key unreadable", detail),
            Undecided::StoreFails { .. } => Self::unavailable("store-fails", "Store fails", detail),
            Undecided::CatchingUp { .. } => Self::unavailable("catching-up", "Catching up", detail),
            Undecided::Quarantined { key, .. } => {
                let problem = Problem::new(503, "quarantined", "Events wait in quarantine", detail);
                Self::from(problem.with("quarantined", vec![key.to_string()])).retry()
            }
            Undecided::RelayHalted { .. } => Self::unavailable("relay-halted", "Relay halted", detail),
            Undecided::Superseded { .. } => Self::unavailable("superseded", "Another writer", detail),
            Undecided::Stopping => Self::unavailable("stopping", "Service is stopping", detail),
            Undecided::Fault => fault(detail),
            Undecided::KeyReused => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency-key-reused", "Idempotency key reused", detail)
            }
            Undecided::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "event-too-large", "Event too large", detail)
            }
        }
    }
}

impl From<Busy> for Refusal {
    fn from(busy: Busy) -> Self {
        Self::unavailable("busy", "Too many requests", busy.to_string())
    }
}

impl From<ExecuteError> for Refusal {
    fn from(error: ExecuteError) -> Self {
        let detail = error.to_string();
        match error {
            ExecuteError::Undecided(undecided) => undecided.into(),
            ExecuteError::Busy(busy) => busy.into(),
            ExecuteError::Superseded { .. } => Self::unavailable("superseded", "Another writer", detail),
            ExecuteError::NotAcknowledged { .. } => {
                Self::unavailable("not-acknowledged", "Kafka has not acknowledged yet", detail)
            }
        }
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Busy(busy) => busy.into(),
            error => Self::unavailable("store-fails", "Store fails", error.to_string()),
        }
    }
}

impl From<AfterError> for Refusal {
    fn from(error: AfterError) -> Self {
        let detail = error.to_string();
        match error {
            AfterError::Await(AwaitError::UnknownTopic { .. } | AwaitError::UnknownPartition { .. }) => {
                Self::header(schemas::headers::AFTER, detail)
            }
            AfterError::Busy(busy) => busy.into(),
            AfterError::Await(AwaitError::Stopped { .. }) => {
                Self::unavailable("following-stopped", "Following has stopped", detail)
            }
            AfterError::Timeout { .. } => Self::unavailable("not-arrived", "Not arrived yet", detail),
        }
    }
}

/// 500, for what only a mistake of this program can cause.
pub(crate) fn fault(detail: String) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", "Fault of this service", detail)
}
