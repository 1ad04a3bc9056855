//! Whole services: the binaries are recorded while they are at work, and started again on what a power cut has left.

mod load;
mod log;
mod recorder;
mod restarted;
mod story;
mod told;
mod users;
