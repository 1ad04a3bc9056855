//! The binary `users`; `users --help` lists its settings.

use std::process::ExitCode;

use command_services::users;
use daybook_command::command_line;

/// sled makes and frees many small things from several threads: the system's allocator took a fifth of a command's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::main(users::DEFAULTS, users::routes()).await
}
