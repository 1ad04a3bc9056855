//! The binary `query-api`; `query-api --help` lists its settings.

use std::process::ExitCode;

fn main() -> ExitCode {
    query_api::command_line::main()
}
