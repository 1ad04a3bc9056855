//! librdkafka's callbacks: its log lines and errors become `tracing` events.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::process::{Repeated, and_more, kind};

/// Of all clients of this process: each has words of its own for the same outage.
static SAID: LazyLock<Mutex<Repeated>> = LazyLock::new(Mutex::default);

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

/// One line of librdkafka's log.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
    let Some(more) = say(&format!("{level:?} {facility}"), message) else { return };
    let message = format!("{message}{more}");
    match level {
        // Set by ourselves on every writer, on purpose: nobody can do anything about it.
        _ if message.contains("enable.gapless.guarantee is experimental") => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
        Emerg | Alert | Critical => tracing::error!(target: "librdkafka", facility, "{message}"),
        // librdkafka goes on trying after what it calls an error (a refused connection, say).
        Error | Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// One error of a client. Returns whether it was an error at all: the end of a partition is reported as one.
pub(crate) fn log_error(error: &KafkaError, reason: &str) -> bool {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PartitionEOF) => false,
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

/// Whether a line is to be said, and what stands behind it.
fn say(of: &str, message: &str) -> Option<String> {
    let said = SAID.lock().unwrap_or_else(PoisonError::into_inner).say(&kind(of, message), Instant::now());
    said.map(and_more)
}
