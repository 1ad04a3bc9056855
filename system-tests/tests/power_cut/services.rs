//! Whole services: the binaries are recorded while they are at work, and started again on what a power cut has left.

mod buyer;
mod feed;
mod load;
mod log;
mod orders;
mod query;
mod rebuilt;
mod recorder;
mod restarted;
mod story;
mod told;
mod upgraded;
mod users;
