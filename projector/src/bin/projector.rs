//! The binary `projector`; `projector --help` lists its settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    daybook_projection::cli::main(projector::projection())
}
