//! The whole `main` of a query service: command line, log, listener, exit code.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser as _;
use daybook_event::event_data::EventData;
use daybook_projection::Projection;
use daybook_service::{EXIT_FAILED, EXIT_IN_USE, EXIT_USAGE, init_logging, shutdown_signal};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::arguments::{Arguments, Serve, Task};
use super::router::Queries;
use super::run::run;

/// Reads the command line, serves until a signal, and says how it ended.
#[must_use]
pub fn main<E: EventData + 'static>(projection: Projection<E>, queries: Queries) -> ExitCode {
    match Arguments::parse().check() {
        Err(errors) => {
            complain(&errors.to_string());
            ExitCode::from(EXIT_USAGE)
        }
        Ok(Task::HealthCheck(listen)) => health_check(listen),
        Ok(Task::Serve(serve)) => serve_until_stopped(*serve, projection, queries),
    }
}

fn health_check(listen: SocketAddr) -> ExitCode {
    match daybook_service::health_check::check(listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn serve_until_stopped<E: EventData + 'static>(
    serve: Serve,
    projection: Projection<E>,
    queries: Queries,
) -> ExitCode {
    init_logging(serve.log_format);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the runtime did not start: {error}; check the limits of this process");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = runtime.block_on(serve_on(serve, projection, queries));
    // An opening that is at work may take minutes, and loses nothing when it is cut short.
    runtime.shutdown_background();
    code
}

/// Threads of D for each core. All but one may read rows, the last one is left for whoever waits for no disk; one that the system
/// suspends while it reads keeps none of the others from reading. With `cores + 1` reads came to 0.27 of a bare route (0.24 and 0.29),
/// with this many to 0.32 (0.31 and 0.33), and so where nothing was bounded (`benchmarks reads --events 1000000 --seed 2`, two cores).
const THREADS_PER_CORE: usize = 3;

/// What service D runs on, alone or with others in one process.
///
/// # Errors
/// The system gives no thread.
pub fn runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS_PER_CORE * cores).enable_all().build()
}

async fn serve_on<E: EventData + 'static>(
    serve: Serve,
    projection: Projection<E>,
    queries: Queries,
) -> ExitCode {
    let listener = match TcpListener::bind(serve.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(
                "cannot listen on {}: {error}; choose another address with --listen",
                serve.listen
            );
            return ExitCode::from(EXIT_FAILED);
        }
    };
    match run(serve.settings, projection, queries, listener, shutdown_signal()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(if error.is_in_use() { EXIT_IN_USE } else { EXIT_FAILED })
        }
    }
}

/// Before the log is set up.
#[expect(clippy::print_stderr, reason = "a binary's own words, before there is a log")]
fn complain(text: &str) {
    eprintln!("{text}");
}
