//! The whole `main` of a query service: command line, log, listener, exit code.

use std::ffi::OsString;
use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use daybook_event::event_data::EventData;
use daybook_projection::Projection;
pub use daybook_service::program::Defaults;
use daybook_service::program::{self, ServiceFlags};
use daybook_service::{EXIT_FAILED, EXIT_IN_USE, shutdown_signal};
use tokio::runtime::Runtime;

use super::queries::Queries;
use super::run::{RunError, run};
use super::settings::{Arguments, Settings};

#[must_use]
pub fn main<E: EventData + 'static>(
    defaults: Defaults,
    projection: Projection<E>,
    queries: impl Into<Queries>,
) -> ExitCode {
    main_with(std::env::args_os(), defaults, projection, queries.into())
}

/// The same with another command line, of which the first argument is what the program is called.
#[must_use]
pub fn main_with<E: EventData + 'static>(
    arguments: impl IntoIterator<Item = OsString>,
    defaults: Defaults,
    projection: Projection<E>,
    queries: Queries,
) -> ExitCode {
    let (served, settings) = match program::parse::<Arguments>(arguments, defaults).check() {
        Ok(checked) => checked,
        Err(errors) => return program::wrong(&errors),
    };
    if let Some(checked) = served.health_checked() {
        return checked;
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            program::complain(&format!(
                "the runtime did not start: {error}; check the limits of this process"
            ));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = runtime.block_on(serve(served, settings, projection, queries));
    // An opening that is at work may take minutes, and loses nothing when it is cut short.
    runtime.shutdown_background();
    code
}

async fn serve<E: EventData + 'static>(
    served: ServiceFlags,
    settings: Settings,
    projection: Projection<E>,
    queries: Queries,
) -> ExitCode {
    let listener = match served.bind().await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let result = run(settings, projection, queries, listener, shutdown_signal()).await;
    let is_in_use = result.as_ref().is_err_and(RunError::is_in_use);
    program::ended(result, if is_in_use { EXIT_IN_USE } else { EXIT_FAILED })
}

/// Threads of D for each core. All but one may read rows, the last one is left for requests that wait for no disk; one that the system
/// suspends while it reads keeps none of the others from reading. With `cores + 1` reads came to 0.27 of a bare route (0.24 and 0.29),
/// with this many to 0.32 (0.31 and 0.33), and so where nothing was bounded (`benchmarks reads --events 1000000 --seed 2`, two cores).
const THREADS_PER_CORE: usize = 3;

/// What service D runs on, alone or with others in one process.
pub fn runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS_PER_CORE * cores).enable_all().build()
}
