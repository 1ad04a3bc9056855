//! The command line of a projector, for any projection: rebuild the read model, verify it, inspect it, manage it.

mod flags;
mod manage;
mod progress;
mod replay;
mod status;
mod verify;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;
use daybook_event::event_data::EventData;
use daybook_service::{EXIT_FAILED, EXIT_IN_USE, init_logging, program};
use flags::Flags;
use flags::{Settings, Task};
use serde_json::Value;

use crate::Projection;

struct Failure {
    exit_code: u8,
    sentence: String,
}

impl Failure {
    fn failed(error: impl Into<Box<dyn Error>>) -> Self {
        Self { exit_code: EXIT_FAILED, sentence: program::chain(&*error.into()) }
    }

    fn in_use(error: impl Into<Box<dyn Error>>) -> Self {
        Self { exit_code: EXIT_IN_USE, ..Self::failed(error) }
    }
}

/// The whole `main` of a projector: does the one task that the command line names, and says how it ended.
#[must_use]
pub fn main<E: EventData + 'static>(projection: Projection<E>) -> ExitCode {
    main_with(std::env::args_os(), projection)
}

/// The same with another command line, of which the first argument is what the program is called.
#[must_use]
pub fn main_with<E: EventData + 'static>(
    arguments: impl IntoIterator<Item = OsString>,
    projection: Projection<E>,
) -> ExitCode {
    if let Some(contradiction) = projection.contradiction() {
        return program::ended(Err(contradiction), EXIT_FAILED);
    }
    let settings = match Flags::parse_from(arguments).check() {
        Ok(settings) => settings,
        Err(errors) => return program::wrong(&errors),
    };
    init_logging(settings.log_format);
    match run(&settings, projection) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            program::complain(&failure.sentence);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run<E: EventData + 'static>(settings: &Settings, projection: Projection<E>) -> Result<(), Failure> {
    match &settings.task {
        Task::Replay(options) => replay::run(settings, projection, options),
        Task::Verify { options, limit } => verify::run(settings, projection, options, *limit),
        Task::Rollback => manage::roll_back(settings, &projection.layout()),
        Task::Discard => manage::discard(settings),
        Task::SetRate(rate) => manage::set_rate(settings, *rate),
        Task::Status => status::run(settings, &projection.layout()),
        Task::Inspect(key) => manage::inspect(settings, &projection, *key),
        Task::Release(key) => manage::release(settings, projection, key),
        Task::SkipEvent { event, why } => manage::skip_event(settings, projection, event, why),
    }
}

/// The result: as JSON if the settings say so, else as text.
fn say(settings: &Settings, json: &Value, text: String) -> Result<(), Failure> {
    let result = if settings.json { json.to_string() } else { text };
    let written = writeln!(io::stdout().lock(), "{result}");
    written.map_err(|error| Failure::failed(format!("cannot write the result to stdout: {error}")))
}

fn holder() -> String {
    format!("projector, pid {}", std::process::id())
}
