//! Services A, B, C and D with a fault built in, which the environment chooses: what the campaign has to find.
//!
//! One program that is the service by whose name it is called. It has a name of its own, and is built only when it is
//! asked for, so that no build of it can stand where a sound service is expected.
#![allow(clippy::print_stderr, reason = "what it is has to be said before there is a log")]

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use command_services::{orders, products, users};
use daybook_command::command_line;
use daybook_service::{EXIT_FAILED, EXIT_USAGE};
use tokio::runtime::Runtime;

/// What to do with this program.
const WHAT_FOR: &str = "this program was built to do harm and is of no other use; set FAILPOINTS to a failpoint and when it fires, such as drop-row=30*off->3%return";

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match std::env::var("FAILPOINTS") {
        Ok(failpoints) => eprintln!("{name} was built to do harm, and will: {failpoints}"),
        Err(error) => return complain(EXIT_USAGE, &format!("{WHAT_FOR} ({error})")),
    }
    let _failpoints = fail::FailScenario::setup();
    match name.as_str() {
        "users" => wait(command_line::main(users::DEFAULTS, users::routes())),
        "products" => wait(command_line::main(products::DEFAULTS, products::routes())),
        "orders" => wait(command_line::main(orders::DEFAULTS, orders::routes())),
        "query-api" => daybook_query::command_line::main(
            query_api::DEFAULTS,
            projector::projection(),
            query_api::queries(),
        ),
        other => complain(
            EXIT_USAGE,
            &format!("{other} is no service; call this program users, products, orders or query-api"),
        ),
    }
}

fn wait(main: impl Future<Output = ExitCode>) -> ExitCode {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(main),
        Err(error) => complain(EXIT_FAILED, &error),
    }
}

fn complain(code: u8, sentence: &impl std::fmt::Display) -> ExitCode {
    eprintln!("{sentence}");
    ExitCode::from(code)
}
