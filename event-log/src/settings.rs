//! The settings that every Daybook program shares, and how wrong ones are reported: all together.

mod errors;
mod kafka_flags;

pub use errors::SettingErrors;
pub use kafka_flags::{KafkaFlags, KafkaSettings};
