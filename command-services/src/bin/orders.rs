//! The binary `orders`; `orders --help` lists its settings.

use std::process::ExitCode;

use command_services::kernel::command_line;
use command_services::shop::orders;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::main(orders::DEFAULTS, |settings, listener| {
        orders::run(settings, listener, command_line::until_signal())
    })
    .await
}
