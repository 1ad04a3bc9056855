//! The process's log: on stderr, as text or JSON lines, levels by `RUST_LOG`.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::errors::SettingErrors;

const DEFAULT_LEVELS: &str = "info";

/// Flags for `#[command(flatten)]`.
#[derive(clap::Args, Clone, Debug)]
pub struct LogFlags {
    /// How log lines look: text or json; levels are set by RUST_LOG
    #[arg(long, env = "DAYBOOK_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFlags {
    /// Checks the flag. None if it is wrong; the sentence is in `errors` then.
    pub fn check(&self, errors: &mut SettingErrors) -> Option<LogFormat> {
        match self.log_format.as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            other => {
                errors.push(format!("--log-format: {other:?} is not text or json"));
                None
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log_format: &str) -> (Option<LogFormat>, usize) {
        let mut errors = SettingErrors::default();
        let format = LogFlags { log_format: log_format.to_owned() }.check(&mut errors);
        (format, errors.sentences().len())
    }

    #[test]
    fn text_and_json_are_the_formats() {
        assert_eq!(check("text"), (Some(LogFormat::Text), 0));
        assert_eq!(check("json"), (Some(LogFormat::Json), 0));
        assert_eq!(check("xml"), (None, 1));
    }
}
