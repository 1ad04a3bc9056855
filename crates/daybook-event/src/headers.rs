//! Names of the HTTP headers that Daybook defines or relies on, in lower case as HTTP/2 sends them.

/// Answer of a command: the positions that it wrote (an order's also has those of its user and product), as a [`crate::token::Token`].
pub const TOKEN: &str = "daybook-token";
/// Request: answer only once these positions have been projected or followed, as a [`crate::token::Token`].
pub const AFTER: &str = "daybook-after";
/// Request: how long to wait for [`AFTER`], in milliseconds.
pub const WAIT_MS: &str = "daybook-wait-ms";
/// Answer of a query: the positions that its content rests on, as a [`crate::token::Token`].
pub const AS_OF: &str = "daybook-as-of";
/// Answer of a query: keys of which events wait in quarantine, of those that its content depends on; at most some, joined
/// by commas. The answer's field `quarantined` names all of them.
pub const QUARANTINED: &str = "daybook-quarantined";
/// Request of a command: id (a UUID) of the request that began it all.
pub const CORRELATION_ID: &str = "daybook-correlation-id";
/// Request of a command: the client's own key; the same key and body get the first answer again.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Request and record header: W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
