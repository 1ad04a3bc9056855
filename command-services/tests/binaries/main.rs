//! The binaries as processes: killed, stopped, and started wrongly.
//! Much of it is the kernel's, and with the shop because a process needs a domain.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod child;
mod command_line;
mod damaged;
mod disk;
mod kill;
mod log;
mod recover;
mod starting;
mod stop;
mod upgraded;
