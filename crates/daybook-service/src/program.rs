//! How every service begins and ends as a program: its address, its log, its exit code and its last words.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::TypedValueParser;
use clap::{CommandFactory, FromArgMatches};
use tokio::net::TcpListener;

use crate::settings::setting;
use crate::{ConnectionLimits, EXIT_FAILED, EXIT_USAGE, LogFlags, SettingErrors, health_check, init_logging};

/// What differs between programs before the first setting.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    pub name: &'static str,
    pub about: &'static str,
    pub listen: &'static str,
    pub data_dir: &'static str,
}

/// Flags of every service, for `#[command(flatten)]`.
#[derive(clap::Args, Clone, Debug)]
pub struct ServiceFlags {
    /// Address to serve HTTP on; port 0 takes any free one
    #[arg(long, env = "DAYBOOK_LISTEN", value_name = "HOST:PORT", value_parser = address("HOST:PORT with a numeric host, such as 127.0.0.1:8080"))]
    pub listen: SocketAddr,
    /// The service's own directory
    #[arg(
        long,
        env = "DAYBOOK_DATA_DIR",
        value_name = "DIR",
        value_parser = setting("the name of a directory", PathBuf::new(), |raw| (!raw.is_empty()).then(|| raw.into()))
    )]
    pub data_dir: PathBuf,
    /// Ask the service that listens on --listen whether it lives, and exit with 0 or 1
    #[arg(long)]
    pub health_check: bool,
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten, next_help_heading = "Bounds")]
    pub connections: ConnectionLimits,
}

/// An address to listen on.
pub fn address(expected: &'static str) -> impl TypedValueParser<Value = SocketAddr> {
    setting(expected, SocketAddr::from(([127, 0, 0, 1], 0)), |raw| raw.trim().parse().ok())
}

/// Reads a command line that has [`ServiceFlags`]; one that cannot be read ends the program. The first of `arguments` is what the
/// program is called. What is wrong in it waits for [`SettingErrors::of_flags`].
pub fn parse<F: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
    defaults: Defaults,
) -> F {
    let matches = command::<F>(defaults).get_matches_from(arguments);
    F::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

pub fn command<F: CommandFactory>(defaults: Defaults) -> clap::Command {
    F::command()
        .name(defaults.name)
        .about(defaults.about)
        .mut_arg("listen", |flag| flag.required(false).default_value(defaults.listen))
        .mut_arg("data_dir", |flag| flag.required(false).default_value(defaults.data_dir))
}

/// Ends a program whose settings are wrong.
#[must_use]
pub fn wrong(errors: &SettingErrors) -> ExitCode {
    complain(&errors.to_string());
    ExitCode::from(EXIT_USAGE)
}

impl ServiceFlags {
    /// Asks a running service whether it lives, if that is the task, and says how that ended.
    #[must_use]
    pub fn health_checked(&self) -> Option<ExitCode> {
        self.health_check.then(|| ended(health_check::check(self.listen, health_check::LIVE), EXIT_FAILED))
    }

    /// Sets up the log and takes the address.
    /// Errors: The exit code; why is said.
    pub async fn bind(&self) -> Result<TcpListener, ExitCode> {
        init_logging(self.log.log_format);
        TcpListener::bind(self.listen).await.map_err(|error| {
            complain(&format!(
                "cannot listen on {}: {error}; choose another address with --listen",
                self.listen
            ));
            ExitCode::from(EXIT_FAILED)
        })
    }
}

/// How a program ends, and what it says then: the error with its causes.
#[must_use]
pub fn ended<E: Error + 'static>(result: Result<(), E>, code: u8) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&chain(&error));
            ExitCode::from(code)
        }
    }
}

/// Says something on stderr, also where no log is set up.
pub fn complain(sentence: &str) {
    // With stderr gone nobody is left to read it; the exit code still says it.
    drop(writeln!(io::stderr().lock(), "{sentence}"));
}

/// An error with its causes, in one line. A cause that the sentence before it repeats already is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
        next = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failure(&'static str, #[source] Option<Box<Failure>>);

    #[test]
    fn a_chain_tells_each_cause_once() {
        let cause = |text| Some(Box::new(Failure(text, None)));
        assert_eq!(chain(&Failure("cannot open", cause("disk full"))), "cannot open: disk full");
        assert_eq!(chain(&Failure("cannot open: disk full", cause("disk full"))), "cannot open: disk full");
    }
}
