//! The whole program of an app: its command line, what it says, and how it ends.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, CommandFactory as _, FromArgMatches as _, value_parser};
use daybook_query::command_line::runtime;
use daybook_service::program::{Defaults, chain, complain, wrong};
use daybook_service::{EXIT_FAILED, LogFlags, init_logging, shutdown_signal};

use crate::app::{App, PROJECTOR, QUERY_API, READ_MODEL};
use crate::deployment::{Deployment, DeploymentFlags, LISTEN, Site};
use crate::running::{AppError, Running};

/// What stands behind a subcommand.
const REST: &str = "arguments";

/// Flags of the whole in one process.
#[derive(Debug, clap::Parser)]
#[command(
    version = concat!("(daybook ", env!("CARGO_PKG_VERSION"), ")"),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 stopped on request, or done; 1 failed or refused; 2 wrong settings; 3 a directory is in use"
)]
struct Flags {
    #[command(flatten)]
    deployment: DeploymentFlags,
    #[command(flatten)]
    log: LogFlags,
}

impl App {
    /// The whole `main` of a program.
    ///
    /// Without arguments all services run in this process on an embedded broker, and everything is gone at the end; with
    /// `--brokers HOST:PORT` and `--data-dir DIR` on a real Kafka, and everything is kept. `--help` has the rest. The name of a
    /// command service, `query-api` or `projector` as first argument runs that one alone, with a command line of its own.
    /// Ctrl-C and SIGTERM stop it in order.
    ///
    /// Exit codes: 0 stopped on request, or done; 1 failed or refused; 2 wrong settings; 3 a directory is in use.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.main_with(std::env::args_os())
    }

    fn main_with(&self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        if let Err(error) = self.check() {
            return failed(&error);
        }
        let matches = self.command().get_matches_from(arguments);
        if let Some((name, matches)) = matches.subcommand() {
            let rest = matches.get_many::<OsString>(REST).into_iter().flatten().cloned();
            let called = OsString::from(format!("{} {name}", self.name));
            return self.alone(name, [called].into_iter().chain(rest).collect());
        }
        let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        match flags.deployment.check() {
            Ok(deployment) => {
                init_logging(flags.log.log_format);
                self.on_runtime(|| self.together(&deployment))
            }
            Err(errors) => wrong(&errors),
        }
    }

    fn command(&self) -> clap::Command {
        let services = self.services.iter().map(|service| (service.name, "Run this command service alone"));
        let reading = self.reading.iter().flat_map(|_| {
            [
                (QUERY_API, "Run the service that answers queries alone"),
                (PROJECTOR, "Rebuild the read model from the log, prove it, or look at it"),
            ]
        });
        let alone = services.chain(reading).map(|(name, about)| {
            let rest = Arg::new(REST).num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
            let rest = rest.value_parser(value_parser!(OsString)).hide(true);
            clap::Command::new(name).about(about).disable_help_flag(true).disable_version_flag(true).arg(rest)
        });
        Flags::command().name(self.name).about(self.about).subcommands(alone)
    }

    /// One part alone, which is one of the subcommands.
    fn alone(&self, name: &str, arguments: Vec<OsString>) -> ExitCode {
        let defaults = |name, about, offset: usize, directory: &str| Defaults {
            name,
            about,
            // Once a process; a command line has what it says as long as the process runs.
            listen: listen(offset).leak(),
            data_dir: format!("data/{directory}").leak(),
        };
        let service = self.services.iter().zip(1..).find(|(service, _)| service.name == name);
        if let Some((service, offset)) = service {
            let defaults = defaults(service.name, self.about, offset, name);
            return self.on_runtime(|| async { Ok((service.main)(arguments, defaults).await) });
        }
        match &self.reading {
            Some(reading) if name == QUERY_API => {
                (reading.query_main)(arguments, defaults(QUERY_API, self.about, 0, READ_MODEL))
            }
            Some(reading) => (reading.projector_main)(arguments),
            None => ExitCode::from(EXIT_FAILED),
        }
    }

    fn on_runtime<F>(&self, work: impl FnOnce() -> F) -> ExitCode
    where
        F: Future<Output = Result<ExitCode, AppError>>,
    {
        match runtime() {
            Ok(runtime) => runtime.block_on(work()).unwrap_or_else(|error| failed(&error)),
            Err(error) => {
                complain(&format!("the runtime did not start: {error}; check the limits of this process"));
                ExitCode::from(EXIT_FAILED)
            }
        }
    }

    /// All services in this process, until it is asked to stop or one of them ends.
    async fn together(&self, deployment: &Deployment) -> Result<ExitCode, AppError> {
        let site = deployment.prepare(&self.topics())?;
        say_where(self.name, &site);
        let running = self.launch(&site.settings).await?;
        let outcome = tokio::select! {
            error = serve(&running) => Err(error),
            () = running.ended() => Ok(()),
            () = shutdown_signal() => Ok(()),
        };
        say("stopping ...");
        // A service that ended by itself says more than what came of it.
        running.stop().await.and(outcome)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Ends only with an error; otherwise it serves until it is dropped.
async fn serve(running: &Running) -> AppError {
    if let Err(error) = running.ready().await {
        return error;
    }
    say("serving until Ctrl-C");
    for (name, url) in running.urls() {
        say(&format!("  {name:<12}{url}"));
    }
    std::future::pending().await
}

fn say_where(name: &str, Site { settings, sandbox }: &Site) {
    let (broker, data) = (&settings.kafka.brokers, settings.data_dir.display());
    match sandbox {
        Some(_) => say(&format!(
            "{name}: a sandbox on an embedded broker at {broker} with its data in {data}, all gone at the end; to keep it, name a \
             real Kafka: --brokers HOST:PORT --data-dir DIR"
        )),
        None => say(&format!("{name}: on {broker} with its data kept in {data}")),
    }
}

/// The address of the part that is so many ports behind the query service.
fn listen(offset: usize) -> String {
    let (host, port) = LISTEN.rsplit_once(':').unwrap_or((LISTEN, "0"));
    let port = port.parse().unwrap_or(0) + offset;
    format!("{host}:{port}")
}

fn failed(error: &AppError) -> ExitCode {
    complain(&chain(error));
    ExitCode::from(error.exit_code())
}

#[expect(clippy::print_stdout, reason = "what it was asked for")]
fn say(line: &str) {
    println!("{line}");
}
