//! The process's log: on stderr, as text or JSON lines, levels by `RUST_LOG`.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::settings::word;

const DEFAULT_LEVELS: &str = "info";

/// Flags for `#[command(flatten)]`.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct LogFlags {
    /// How log lines look: text or json; levels are set by RUST_LOG
    #[arg(
        long,
        env = "DAYBOOK_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        value_parser = word(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
    )]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Sends everything logged in this process to stderr from now on. A second call changes nothing.
pub fn init_logging(format: LogFormat) {
    let (levels, wrong) = levels();
    let builder = fmt().with_env_filter(levels).with_writer(io::stderr);
    let installed = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("logging was set up before");
    }
    if let Some(wrong) = wrong {
        tracing::warn!("RUST_LOG is ignored: {wrong}; logging at {DEFAULT_LEVELS}");
    }
}

fn levels() -> (EnvFilter, Option<String>) {
    let default = || EnvFilter::new(DEFAULT_LEVELS);
    match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(raw) if !raw.is_empty() => match EnvFilter::try_new(&raw) {
            Ok(levels) => (levels, None),
            Err(error) => (default(), Some(error.to_string())),
        },
        _ => (default(), None),
    }
}
