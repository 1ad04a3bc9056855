//! Why a request is not answered as asked: a problem, and when to try again. The one place that maps the kernel's errors
//! to HTTP; a domain's rejections are mapped by its service.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use daybook_event::problem::{MEDIA_TYPE, Problem};

use crate::command::Undecided;
use crate::followed::AwaitError;
use crate::places::Busy;
use crate::service::{AfterError, ExecuteError, LoadError};

/// What a client should wait, in seconds, before it repeats a request that met a passing obstacle.
const RETRY_AFTER_S: u16 = 1;

const STORE_FAILS: &str = "the command could not be written to disk; repeat it with the same Idempotency-Key once the disk is \
                           well, of which /health/ready and the service's log say more";
const STORE_UNREADABLE: &str =
    "the state cannot be read; try again once the disk is well, of which the service's log says more";
const RELAY_HALTED: &str = "events of this service can no longer be sent to Kafka, and no command is accepted until they are; \
                            /health/ready says which, and why";
const SUPERSEDED: &str =
    "another process is the writer now, and this one accepts no command any more; repeat the request there";
const STORED_AND_SUPERSEDED: &str = "the command is stored here, but another writer has taken over before the log had it, and its events \
                                     will never be there; repeat the request there";
const KEY_UNREADABLE: &str = "what became of the request with this Idempotency-Key cannot be read any more; read the resource to see \
                              whether it took effect, and use a new key";

const PARTITION_AWAY: &str = "what is stored here of one partition and what Kafka has of it are not known to be the same; commands that write to \
                              it, or whose answer may rest on it, are taken once they are; /health/ready says what stands in the way";
const PARTITION_DIFFERS: &str = "what Kafka has of one partition is not what is stored here; commands that write to it, or whose answer may rest on \
                                 it, are refused until somebody has mended that; /health/ready says what differs";
const CATCHING_UP: &str =
    "what other services say of this is not known yet; try again, /health/ready says how far it is";
const FOLLOWING_STOPPED: &str = "nothing is known of what this depends on, and nothing new is heard of other services at present; try \
                                 again, /health/ready says why";
const NOT_FOLLOWED: &str = "what Daybook-After names has not arrived here, and nothing new is heard of other services at present; try \
                            again, /health/ready says why";

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
        let detail = shown(&undecided);
        match undecided {
            Undecided::QueueFull => Self::unavailable("busy", "Too many commands", detail),
            Undecided::OutboxFull { .. } => Self::unavailable("outbox-full", "Outbox full", detail),
            Undecided::PartitionFull { .. } => Self::unavailable("outbox-full", "Outbox full", detail),
            // One kind for both, as in the metrics; the title says which it is.
            Undecided::PartitionAway { differs: true, .. } => {
                Self::unavailable("partition-away", "Partition differs from what is stored", detail)
            }
            Undecided::PartitionAway { .. } => Self::unavailable("partition-away", "Partition away", detail),
            Undecided::JournalFull { .. } => Self::unavailable("journal-full", "Journal full", detail),
            Undecided::KeysFull { .. } => {
                Self::unavailable("idempotency-keys-full", "Too many idempotency keys", detail)
            }
            Undecided::KeyUnreadable { .. } => Self::unavailable("key-unreadable", "Key unreadable", detail),
            Undecided::StoreFails { .. } | Undecided::Stuck { .. } | Undecided::Damaged { .. } => {
                Self::unavailable("store-fails", "Store fails", detail)
            }
            Undecided::CatchingUp { .. } => Self::unavailable("catching-up", "Catching up", detail),
            Undecided::FollowingStopped { .. } => {
                Self::unavailable("following-stopped", "Following has stopped", detail)
            }
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

/// What a client is told. Where the kernel's words are for operators, with directories, files, hosts, brokers and instances
/// in them, the client is told what it means for the request.
fn shown(undecided: &Undecided) -> String {
    match undecided {
        Undecided::StoreFails { .. } => STORE_FAILS.to_owned(),
        Undecided::RelayHalted { .. } => RELAY_HALTED.to_owned(),
        Undecided::Superseded { .. } => SUPERSEDED.to_owned(),
        Undecided::PartitionAway { differs: true, .. } => PARTITION_DIFFERS.to_owned(),
        Undecided::PartitionAway { .. } => PARTITION_AWAY.to_owned(),
        Undecided::CatchingUp { .. } => CATCHING_UP.to_owned(),
        Undecided::FollowingStopped { .. } => FOLLOWING_STOPPED.to_owned(),
        Undecided::KeyUnreadable { detail } => {
            tracing::error!("what became of a request with an Idempotency-Key cannot be read: {detail}");
            KEY_UNREADABLE.to_owned()
        }
        other => other.to_string(),
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
            ExecuteError::Superseded { .. } => {
                Self::unavailable("superseded", "Another writer", STORED_AND_SUPERSEDED)
            }
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
            LoadError::Damaged(damaged) => {
                Self::unavailable("store-fails", "Store fails", damaged.to_string())
            }
            error => {
                tracing::warn!(%error, "a state cannot be read");
                Self::unavailable("store-fails", "Store fails", STORE_UNREADABLE)
            }
        }
    }
}

impl From<AfterError> for Refusal {
    fn from(error: AfterError) -> Self {
        let detail = error.to_string();
        match error {
            AfterError::Await(AwaitError::UnknownTopic { .. } | AwaitError::UnknownPartition { .. }) => {
                Self::header(daybook_event::headers::AFTER, detail)
            }
            AfterError::Busy(busy) => busy.into(),
            AfterError::Await(AwaitError::Stopped { .. }) => {
                Self::unavailable("following-stopped", "Following has stopped", NOT_FOLLOWED)
            }
            AfterError::Timeout { .. } => Self::unavailable("not-arrived", "Not arrived yet", detail),
        }
    }
}

/// 500, for what only a mistake of this program can cause.
pub(crate) fn fault(detail: String) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", "Fault of this service", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Superseded;
    use daybook_event::claim::Writer;
    use daybook_store::{Cause, DatabaseError, Doing};
    use uuid::Uuid;

    #[test]
    fn clients_see_no_directory_and_no_host() {
        let secret = || "/var/lib/daybook on host-7".to_owned();
        let writer = || Writer {
            instance: Uuid::from_u128(7),
            host: secret(),
            claimed_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let by = || Superseded { topic: "toys.events".to_owned(), partition: 0, by: writer(), copy: false };
        let (doing, cause) = (Doing::Open, Cause::Other);
        let store = DatabaseError { doing, dir: secret().into(), detail: secret(), cause, earlier: None };
        let away = |differs| Undecided::PartitionAway { partition: 0, reason: secret(), differs };
        let refusals: [Refusal; 12] = [
            Undecided::StoreFails { detail: secret() }.into(),
            Undecided::KeyUnreadable { detail: secret() }.into(),
            Undecided::RelayHalted { reason: secret() }.into(),
            Undecided::Superseded { by: by() }.into(),
            away(false).into(),
            away(true).into(),
            Undecided::CatchingUp { reason: secret() }.into(),
            Undecided::FollowingStopped { reason: secret() }.into(),
            AfterError::Await(AwaitError::Stopped { reason: secret() }).into(),
            ExecuteError::Superseded { by: by() }.into(),
            LoadError::Failing(secret()).into(),
            LoadError::Store(store.into()).into(),
        ];
        for Refusal { problem, .. } in refusals {
            assert!(!problem.detail.contains("/var") && !problem.detail.contains("host-7"), "{problem:?}");
        }
    }
}
