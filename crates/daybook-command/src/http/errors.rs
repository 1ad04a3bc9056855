//! The kernel's errors as problems: the one place that maps them; a domain's rejections are mapped by its service.

use daybook_service::http::{ApiError, problem_types as kind};

use crate::command::CommandError;
use crate::service::{AfterError, Busy, LoadError};

const STORE_FAILS: &str = "the command could not be written to disk; repeat it with the same Idempotency-Key once the disk \
                           works again; /health/ready and the service's log say more";
const STORE_UNREADABLE: &str =
    "the state cannot be read; try again once the disk works again; the service's log says more";
const RELAY_HALTED: &str = "events of this service can no longer be sent to Kafka, and no command is accepted until they are; \
                            /health/ready says which, and why";
const FENCED: &str =
    "another process is the writer now, and this one accepts no command any more; repeat the request there";
const STORED_AND_FENCED: &str = "the command is stored here, but another writer has taken over before the log had it, and its events \
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

impl From<CommandError> for ApiError {
    /// Where the kernel's words are for operators, with directories, files, hosts, brokers and instances in them, the client reads
    /// what it means for the request.
    fn from(refused: CommandError) -> Self {
        let (kind, text) = match &refused {
            CommandError::QueueFull => (&kind::OVERLOADED, None),
            CommandError::OutboxFull { .. } | CommandError::PartitionFull { .. } => {
                (&kind::OUTBOX_FULL, None)
            }
            // One kind, whether it differs or is not known, as in the metrics; the detail says which it is.
            CommandError::PartitionAway { differs: true, .. } => {
                (&kind::PARTITION_AWAY, Some(PARTITION_DIFFERS))
            }
            CommandError::PartitionAway { .. } => (&kind::PARTITION_AWAY, Some(PARTITION_AWAY)),
            CommandError::JournalFull { .. } => (&kind::JOURNAL_FULL, None),
            CommandError::KeysFull { .. } => (&kind::IDEMPOTENCY_KEYS_FULL, None),
            CommandError::KeyUnreadable { detail } => {
                tracing::error!("what became of a request with an Idempotency-Key cannot be read: {detail}");
                (&kind::KEY_UNREADABLE, Some(KEY_UNREADABLE))
            }
            CommandError::StoreFails { .. } => (&kind::STORE_FAILS, Some(STORE_FAILS)),
            CommandError::Stuck { .. } | CommandError::Damaged { .. } => (&kind::STORE_FAILS, None),
            CommandError::CatchingUp { .. } => (&kind::CATCHING_UP, Some(CATCHING_UP)),
            CommandError::FollowingStopped { .. } => (&kind::FOLLOWING_STOPPED, Some(FOLLOWING_STOPPED)),
            CommandError::Quarantined { .. } => (&kind::QUARANTINED, None),
            CommandError::RelayHalted { .. } => (&kind::RELAY_HALTED, Some(RELAY_HALTED)),
            CommandError::Fenced { .. } => (&kind::FENCED, Some(FENCED)),
            CommandError::StoredAndFenced { .. } => (&kind::FENCED, Some(STORED_AND_FENCED)),
            CommandError::NotAcknowledged { .. } => (&kind::NOT_ACKNOWLEDGED, None),
            CommandError::Busy(_) => (&kind::OVERLOADED, None),
            CommandError::Stopping => (&kind::STOPPING, None),
            CommandError::Fault => (&kind::FAULT, None),
            CommandError::KeyReused => (&kind::IDEMPOTENCY_KEY_REUSED, None),
            CommandError::TooLarge { .. } => (&kind::EVENT_TOO_LARGE, None),
        };
        let error = Self::new(kind, text.map_or_else(|| refused.to_string(), str::to_owned));
        match refused {
            CommandError::Quarantined { key, .. } => error.with("quarantined", vec![key.to_string()]),
            _ => error,
        }
    }
}

impl From<Busy> for ApiError {
    fn from(busy: Busy) -> Self {
        Self::new(&kind::OVERLOADED, busy.to_string())
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
            AfterError::UnknownTopic { .. } | AfterError::UnknownPartition { .. } => {
                Self::header(daybook_event::headers::AFTER, detail)
            }
            AfterError::Busy(busy) => busy.into(),
            AfterError::Stopped { .. } => Self::new(&kind::FOLLOWING_STOPPED, NOT_FOLLOWED),
            AfterError::Timeout { .. } | AfterError::NotHere(_) => Self::new(&kind::NOT_REACHED_YET, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fencing::Fenced;
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
        let by = || Fenced { topic: "toys.events".to_owned(), partition: 0, by: writer(), copy: false };
        let (doing, cause) = (Doing::Open, Cause::Other);
        let store = DatabaseError { doing, dir: secret().into(), detail: secret(), cause, earlier: None };
        let away = |differs| CommandError::PartitionAway { partition: 0, reason: secret(), differs };
        let errors: [ApiError; 12] = [
            CommandError::StoreFails { detail: secret() }.into(),
            CommandError::KeyUnreadable { detail: secret() }.into(),
            CommandError::RelayHalted { reason: secret() }.into(),
            CommandError::Fenced { by: by() }.into(),
            away(false).into(),
            away(true).into(),
            CommandError::CatchingUp { reason: secret() }.into(),
            CommandError::FollowingStopped { reason: secret() }.into(),
            AfterError::Stopped { reason: secret() }.into(),
            CommandError::StoredAndFenced { by: by() }.into(),
            LoadError::Failing(secret()).into(),
            LoadError::Store(store.into()).into(),
        ];
        for error in errors {
            let problem = error.problem();
            assert!(!problem.detail.contains("/var") && !problem.detail.contains("host-7"), "{problem:?}");
        }
    }
}
