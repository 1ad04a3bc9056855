//! How long is waited for what may never come.

use std::time::Duration;

/// Bounds of one campaign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until a service is ready once its Kafka is there.
    pub(crate) ready: Duration,
    /// For a client to go on asking what became of a command.
    pub(crate) command: Duration,
    /// Until an answer comes that rests on the whole log.
    pub(crate) answer: Duration,
    /// Until a service has met what was done to its disk, and again until it has got over it.
    pub(crate) disk: Duration,
}

impl Patience {
    /// Where everything comes back: longer than any fault lasts. A start waits up to 30 s for a broker, and may have begun
    /// just before the broker came.
    pub(crate) const LONG: Self = Self {
        ready: Duration::from_secs(120),
        command: Duration::from_secs(180),
        answer: Duration::from_secs(90),
        disk: Duration::from_secs(60),
    };

    /// Where a service may have stopped for good.
    pub(crate) const SHORT: Self = Self {
        ready: Duration::from_secs(60),
        command: Duration::from_secs(2),
        answer: Duration::from_secs(10),
        disk: Duration::from_secs(10),
    };
}
