//! The kernel's errors as problems: the one place that maps them; a domain's rejections are mapped by its service.

use daybook_service::http::{ApiError, problem_types as kind};

use crate::command::Undecided;
use crate::followed::AwaitError;
use crate::service::{AfterError, Busy, ExecuteError, LoadError};

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
                                 it, are refused until an operator has mended that; /health/ready says what differs";
const CATCHING_UP: &str =
    "what other services say of this is not known yet; try again, /health/ready says how far it is";
const FOLLOWING_STOPPED: &str = "nothing is known of what this depends on, and nothing new is heard of other services at present; try \
                                 again, /health/ready says why";
const NOT_FOLLOWED: &str = "what Daybook-After names has not arrived here, and nothing new is heard of other services at present; try \
                            again, /health/ready says why";

impl From<Undecided> for ApiError {
    fn from(undecided: Undecided) -> Self {
        let detail = shown(&undecided);
        match undecided {
            Undecided::QueueFull => Self::new(&kind::OVERLOADED, detail),
            Undecided::OutboxFull { .. } | Undecided::PartitionFull { .. } => {
                Self::new(&kind::OUTBOX_FULL, detail)
            }
            // One kind, whether it differs or is not known, as in the metrics; the detail says which it is.
            Undecided::PartitionAway { .. } => Self::new(&kind::PARTITION_AWAY, detail),
            Undecided::JournalFull { .. } => Self::new(&kind::JOURNAL_FULL, detail),
            Undecided::KeysFull { .. } => Self::new(&kind::IDEMPOTENCY_KEYS_FULL, detail),
            Undecided::KeyUnreadable { .. } => Self::new(&kind::KEY_UNREADABLE, detail),
            Undecided::StoreFails { .. } | Undecided::Stuck { .. } | Undecided::Damaged { .. } => {
                Self::new(&kind::STORE_FAILS, detail)
            }
            Undecided::CatchingUp { .. } => Self::new(&kind::CATCHING_UP, detail),
            Undecided::FollowingStopped { .. } => Self::new(&kind::FOLLOWING_STOPPED, detail),
            Undecided::Quarantined { key, .. } => {
                Self::new(&kind::QUARANTINED, detail).with("quarantined", vec![key.to_string()])
            }
            Undecided::RelayHalted { .. } => Self::new(&kind::RELAY_HALTED, detail),
            Undecided::Superseded { .. } => Self::new(&kind::FENCED, detail),
            Undecided::Stopping => Self::new(&kind::STOPPING, detail),
            Undecided::Fault => Self::new(&kind::FAULT, detail),
            Undecided::KeyReused => Self::new(&kind::IDEMPOTENCY_KEY_REUSED, detail),
            Undecided::TooLarge { .. } => Self::new(&kind::EVENT_TOO_LARGE, detail),
        }
    }
}

/// What a client reads. Where the kernel's words are for operators, with directories, files, hosts, brokers and instances
/// in them, the client reads what it means for the request.
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

impl From<Busy> for ApiError {
    fn from(busy: Busy) -> Self {
        Self::new(&kind::OVERLOADED, busy.to_string())
    }
}

impl From<ExecuteError> for ApiError {
    fn from(error: ExecuteError) -> Self {
        let detail = error.to_string();
        match error {
            ExecuteError::Undecided(undecided) => undecided.into(),
            ExecuteError::Busy(busy) => busy.into(),
            ExecuteError::Superseded { .. } => Self::new(&kind::FENCED, STORED_AND_SUPERSEDED),
            ExecuteError::NotAcknowledged { .. } => Self::new(&kind::NOT_ACKNOWLEDGED, detail),
        }
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Busy(busy) => busy.into(),
            LoadError::Damaged(damaged) => Self::new(&kind::STORE_FAILS, damaged.to_string()),
            error => {
                tracing::warn!(%error, "a state cannot be read");
                Self::new(&kind::STORE_FAILS, STORE_UNREADABLE)
            }
        }
    }
}

impl From<AfterError> for ApiError {
    fn from(error: AfterError) -> Self {
        let detail = error.to_string();
        match error {
            AfterError::Await(AwaitError::UnknownTopic { .. } | AwaitError::UnknownPartition { .. }) => {
                Self::header(daybook_event::headers::AFTER, detail)
            }
            AfterError::Busy(busy) => busy.into(),
            AfterError::Await(AwaitError::Stopped { .. }) => {
                Self::new(&kind::FOLLOWING_STOPPED, NOT_FOLLOWED)
            }
            AfterError::Timeout { .. } => Self::new(&kind::NOT_REACHED_YET, detail),
        }
    }
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
        let errors: [ApiError; 12] = [
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
        for error in errors {
            let problem = error.problem();
            assert!(!problem.detail.contains("/var") && !problem.detail.contains("host-7"), "{problem:?}");
        }
    }
}
