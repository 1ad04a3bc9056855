//! The binary `query-api`; `query-api --help` lists its settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    daybook_query::command_line::main(query_api::DEFAULTS, projector::projection(), query_api::queries())
}
