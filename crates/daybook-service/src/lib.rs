//! What surrounds the work of every Daybook process: its settings, exit codes, log, stop signal, directories,
//! connections and HTTP.
//!
//! It knows no Kafka and no domain; of events only how errors and tokens look.

mod connections;
mod failpoint;
pub mod health_check;
pub mod http;
mod log_once;
mod logging;
mod pause;
pub mod program;
pub mod settings;
mod slot;
mod stop;

use std::time::Duration;

pub use connections::{ConnectionLimits, serve};
pub use failpoint::{FIRES, fires};
pub use log_once::LogOnce;
pub use logging::{LogFlags, LogFormat, init_logging};
pub use pause::Pause;
pub use settings::SettingErrors;
pub use slot::Slot;
pub use stop::{Stop, StopOnDrop};
pub use stop::{listening, shutdown_signal};

/// If two checks of a loop that checks again and again are further apart, the process itself stood still: it got SIGSTOP, or no
/// processor. (While a machine is suspended this clock may stand still, too.)
pub const STOOD_STILL_AFTER: Duration = Duration::from_secs(5);

pub const EXIT_FAILED: u8 = 1;
pub const EXIT_USAGE: u8 = 2;
/// Another process uses the directory.
pub const EXIT_IN_USE: u8 = 3;
