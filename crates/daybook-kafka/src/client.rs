//! librdkafka's callbacks: its log lines and errors become `tracing` events.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use daybook_service::LogOnce;

/// Of all clients of this process: each has words of its own for the same outage.
static SAID: LogOnce = LogOnce::new();

/// Context of the clients that only read or ask. Remembers the last error, for the sentence in which we give up.
#[derive(Default)]
pub(crate) struct Context {
    last_error: Mutex<Option<String>>,
}

impl Context {
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    // Nobody asks for them, and inherited it would have each crate that reads compile their parser.
    fn stats_raw(&self, _: &[u8]) {}

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !log_error(&error, reason) {
            return;
        }
        let mut last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" follows upon the reason why, which says more.
        if last_error.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last_error = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// Facility of the lines that say why a connection failed.
const FAILURE: &str = "FAIL";

pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
    // The error reports a failure as well.
    let of = if facility == FAILURE { "error" } else { &format!("{level:?} {facility}") };
    let Some(more) = say(of, message) else { return };
    let message = format!("{message}{more}");
    match level {
        // Set by ourselves on every writer, on purpose: nobody can do anything about it.
        _ if message.contains("enable.gapless.guarantee is experimental") => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        Emerg | Alert | Critical => tracing::error!(target: "librdkafka", facility, "{message}"),
        // librdkafka keeps trying after what it calls an error (a refused connection, say).
        Error | Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// One error of a client. Returns whether it was an error at all: the end of a partition is reported as one.
pub(crate) fn log_error(error: &KafkaError, reason: &str) -> bool {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PartitionEOF) => false,
        // It follows upon the reason why, which is said.
        Some(RDKafkaErrorCode::AllBrokersDown) => {
            tracing::debug!(target: "librdkafka", "{reason}");
            true
        }
        Some(RDKafkaErrorCode::Fatal) => {
            tracing::error!(target: "librdkafka", "fatal: {reason}");
            true
        }
        _ => {
            if let Some(more) = say("error", reason) {
                tracing::warn!(target: "librdkafka", "{reason}{more}");
            }
            true
        }
    }
}

/// What went wrong, without which thread reports it and how often: `[thrd:NAME]: NAME: CAUSE (after …)`. Each thread of each client would
/// have a kind of its own otherwise.
fn cause(message: &str) -> &str {
    let named = message.split_inclusive(' ').take_while(|word| word.trim_end().ends_with(':'));
    let cause = &message[named.map(str::len).sum()..];
    cause.split_once(" (after ").map_or(cause, |(cause, _)| cause)
}

/// Whether a line is to be said, and what stands behind it.
fn say(of: &str, message: &str) -> Option<String> {
    SAID.say_like(of, cause(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outage_is_of_one_kind_whichever_thread_reports_it() {
        let lines = [
            "[thrd:127.0.0.1:29392/1]: 127.0.0.1:29392/1: Connect to ipv4#127.0.0.1:29392 failed: Connection refused (after 0ms in state CONNECT)",
            "[thrd:GroupCoordinator]: GroupCoordinator: 127.0.0.1:29392: Connect to ipv4#127.0.0.1:29392 failed: Connection refused (after 0ms in state CONNECT)",
            "[thrd:127.0.0.1:29392/bootstrap]: 127.0.0.1:29392/bootstrap: Connect to ipv4#127.0.0.1:29392 failed: Connection refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
            "127.0.0.1:29392/1: Connect to ipv4#127.0.0.1:29392 failed: Connection refused (after 0ms in state CONNECT)",
            "GroupCoordinator: 127.0.0.1:29392: Connect to ipv4#127.0.0.1:29392 failed: Connection refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
        ];
        let said = LogOnce::new();
        assert!(said.say_like("error", cause(lines[0])).is_some());
        assert!(lines.iter().all(|line| said.say_like("error", cause(line)).is_none()));
        assert_eq!(said.say_like("error", "Connect to failed: Connection refused"), None);
        assert_eq!(cause("kafka:9092/1: Disconnected (after 5ms in state UP)"), "Disconnected");
        assert_eq!(
            cause("Failed to resolve 'kafka:9092': Name or service not known"),
            "Failed to resolve 'kafka:9092': Name or service not known"
        );
        assert_eq!((cause(""), cause("only: names:")), ("", ""));
    }
}
