//! The kinds of problems that Daybook itself answers with, in one table. A domain adds its own.
//!
//! `docs/protocol.md` has the same table for readers, and every process serves each row at `/problems/<slug>`.

use daybook_event::problem::ProblemType;

/// One constant for each row, and the table of all of them.
macro_rules! problem_types {
    ($($name:ident = $status:literal $slug:literal $title:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $name: ProblemType =
                ProblemType { slug: $slug, status: $status, title: $title, meaning: $meaning };
        )*

        /// All rows, in the order of the document.
        pub const KERNEL: &[ProblemType] = &[$($name),*];
    };
}

problem_types! {
    // The request cannot be read.
    MALFORMED_HEADER = 400 "malformed-header" "Malformed header",
        "A request header cannot be read; the member `header` names it.";
    MALFORMED_PARAMETER = 400 "malformed-parameter" "Malformed parameter",
        "A query parameter is unknown, wrong or given twice; the member `parameter` names it.";
    MALFORMED_ID = 400 "malformed-id" "Malformed id",
        "An id in the path is not a UUID of 36 characters in lower case; the member `parameter` names it.";
    MALFORMED_BODY = 400 "malformed-body" "Malformed body", "The body is not JSON, or ended early.";
    UNEXPECTED_BODY = 400 "unexpected-body" "Unexpected body",
        "This method takes no body on this path; send none.";
    NO_SUCH_PATH = 404 "no-such-path" "No such path", "Nothing is at this path.";
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "Method not allowed",
        "The path does not take this method; `Allow` names those that it takes.";
    BODY_TOO_SLOW = 408 "body-too-slow" "Body too slow", "The body did not arrive in time.";
    BODY_TOO_LARGE = 413 "body-too-large" "Body too large", "The body is larger than the limit.";
    EVENT_TOO_LARGE = 413 "event-too-large" "Event too large",
        "The command would write an event that is larger than the limit.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type" "Unsupported media type",
        "The body must be JSON (`content-type: application/json`) without any `content-encoding`.";
    INVALID_BODY = 422 "invalid-body" "Invalid body",
        "The body is JSON, and a field is missing, unknown or of another type; the member `field` names it.";
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency-key-reused" "Idempotency key reused",
        "The `Idempotency-Key` was used for another request; use a new key.";
    // The resource, and what is known of it.
    NOT_FOUND = 404 "not-found" "Not found", "There is no such resource, or it was deleted.";
    REQUEST_IN_FLIGHT = 409 "request-in-flight" "Request in flight",
        "A request with this `Idempotency-Key` is in progress; repeat it when that is done.";
    PRECONDITION_FAILED = 412 "precondition-failed" "Precondition failed",
        "The resource is not as `If-Match` or `If-None-Match` wants it; a command service says its `version`.";
    // It may succeed a little later: each of these comes with `Retry-After`.
    OVERLOADED = 503 "overloaded" "Too many requests",
        "Too many requests are in progress or waiting; try again in a moment.";
    TIMEOUT = 503 "timeout" "Timeout",
        "The answer took too long. A command may have been decided all the same: repeat it with its `Idempotency-Key`.";
    NOT_REACHED_YET = 503 "not-reached-yet" "Not reached yet",
        "What `Daybook-After` names did not arrive in time; try again, or leave it out for an older answer.";
    QUARANTINED = 503 "quarantined" "In quarantine",
        "The answer depends on events that wait in quarantine; the member `quarantined` names their keys.";
    NOT_READY = 503 "not-ready" "Not ready", "The service is not ready; the detail says why.";
    STARTING = 503 "starting" "Starting", "The service is starting.";
    STOPPING = 503 "stopping" "Stopping", "The service is stopping.";
    OPENING = 503 "opening" "Read model opening", "The read model is being opened.";
    BUILDING = 503 "building" "Read model building", "The read model is being built from the log.";
    CATCHING_UP = 503 "catching-up" "Catching up",
        "What the answer depends on is not known yet; `/health/ready` says how far it is.";
    FOLLOWING_STOPPED = 503 "following-stopped" "Following has stopped",
        "The service no longer follows other services; `/health/ready` says why.";
    OUTBOX_FULL = 503 "outbox-full" "Outbox full",
        "The limit of events that wait for Kafka is reached; commands are taken again once Kafka takes events.";
    JOURNAL_FULL = 503 "journal-full" "Journal full", "The journal has reached its size limit.";
    IDEMPOTENCY_KEYS_FULL = 503 "idempotency-keys-full" "Too many idempotency keys",
        "The limit of idempotency keys is reached, and none has expired; try again later.";
    KEY_UNREADABLE = 503 "key-unreadable" "Key unreadable",
        "What became of the request with this `Idempotency-Key` cannot be read; read the resource, and use a new key.";
    PARTITION_AWAY = 503 "partition-away" "Partition away",
        "It is not known whether Kafka has of one partition what this service has stored of it.";
    RELAY_HALTED = 503 "relay-halted" "Relay halted",
        "Events can no longer be sent to Kafka; `/health/ready` says which, and why.";
    FENCED = 503 "fenced" "Fenced", "Another process is the writer now; repeat the request there.";
    NOT_ACKNOWLEDGED = 503 "not-acknowledged" "Not acknowledged",
        "The command is stored, and Kafka has not acknowledged it in time; repeat it with its `Idempotency-Key`.";
    STORE_FAILS = 503 "store-fails" "Store fails",
        "The disk cannot be read or written; repeat a command with the same `Idempotency-Key`.";
    // Only its operator can help.
    READ_MODEL_UNREADABLE = 500 "read-model-unreadable" "Read model unreadable",
        "The read model cannot be read; a replay rebuilds it.";
    FAULT = 500 "fault" "Fault", "The request met a fault of this service; its log says more.";
    // In `stopped` of `/status`: why the projection goes no further.
    GAP = 500 "gap" "Gap in the log", "Positions are missing in a partition.";
    FORK = 500 "fork" "Fork in the log", "A position has two events.";
    OTHER_LOG = 500 "other-log" "Other log", "The log is not the one that was projected.";
    UNREADABLE_EVENT = 500 "unreadable-event" "Unreadable event", "A record cannot be read as an event.";
    UNKNOWN_EVENT = 500 "unknown-event" "Unknown event", "An event has a type or version that this program does not know.";
    FOREIGN_SOURCE = 500 "foreign-source" "Foreign source", "A record belongs to another service.";
    UNKNOWN_TOPIC = 500 "unknown-topic" "Unknown topic", "The read model was built from another topic than this program projects.";
    CONTRADICTING_EVENT = 500 "contradicting-event" "Contradicting event", "An event contradicts what was projected before.";
    QUARANTINE_FULL = 500 "quarantine-full" "Quarantine full", "The limit of events in quarantine is reached.";
    LOG_FRONT_DELETED = 500 "log-front-deleted" "Front of the log deleted", "The log begins behind what is to be read.";
    LOG_WENT_BACK = 500 "log-went-back" "Log went back", "The log ends before what was projected.";
    PARTITIONS_CHANGED = 500 "partitions-changed" "Partitions changed", "A topic has another number of partitions.";
    LOG_UNREADABLE = 500 "log-unreadable" "Log unreadable", "The log cannot be read at present.";
    DEFECT = 500 "defect" "Defect", "A defect of this program.";
}
