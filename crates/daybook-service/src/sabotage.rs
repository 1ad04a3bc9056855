//! Faults that services can be built to have, so that whoever checks them can be seen to find each.
//!
//! Only with the feature `sabotage` is there anything in them: without it [`strikes`] is a constant `false`, and the
//! compiler removes what depends on it, whatever the environment says.

#[cfg(feature = "sabotage")]
mod chosen;

#[cfg(feature = "sabotage")]
pub use chosen::{BeginError, begin};

/// Environment variable that names the fault of a process.
pub const VARIABLE: &str = "DAYBOOK_SABOTAGE";
/// What a process logs each time when its fault strikes.
pub const STRIKES: &str = "sabotage strikes";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The relay leaves an outbox row out.
    DropRow,
    /// The relay hands a row over twice.
    DoubleSend,
    /// The relay lets two rows of a partition change places, and does not notice.
    Reorder,
    /// The relay hands over bytes that are no event.
    Garble,
    /// Commands are answered although their group was not synced.
    SkipSync,
    /// Commands are answered before Kafka has acknowledged them, though the service was told to wait for it.
    AckBeforeKafka,
    /// An idempotency key is not looked up.
    DecideTwice,
    /// A command that took effect is answered with a refusal.
    RefuseAndDo,
    /// An event gets the version that its aggregate has already.
    SameVersion,
    /// An event bears another correlation id than its request.
    OtherCause,
    /// A unique key that somebody has is given to somebody else as well.
    TwinKey,
    /// Another service's aggregate that nobody has heard of counts as present.
    TrustStranger,
    /// A fact that was followed from another topic is not written.
    ForgetFact,
    /// The process ends, and says nothing.
    EndUnasked,
    /// An index that is built again lacks an aggregate.
    ForgetAggregate,
    /// An index that is built again lacks a unique key, which is free then.
    ForgetKey,
    /// Commands are still refused after the disk has room again.
    StayFull,
    /// An index is gone on with although the disk failed while it was written or synced.
    TrustDisk,
    /// A projected event changes no row.
    HideRow,
    /// What an event adds is added twice.
    DoubleRow,
    /// A read does not wait for its token.
    StaleRead,
    /// An answer shows what was there before the last event that it names.
    BackInTime,
    /// A generation is opened although it is not what was finished.
    TrustGeneration,
    /// The relay sends nothing of any partition but the first.
    SendOnePartition,
    /// An answer shows a row that was kept from before an event that it names.
    OldRow,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::DropRow,
        Self::DoubleSend,
        Self::Reorder,
        Self::Garble,
        Self::SkipSync,
        Self::AckBeforeKafka,
        Self::DecideTwice,
        Self::RefuseAndDo,
        Self::SameVersion,
        Self::OtherCause,
        Self::TwinKey,
        Self::TrustStranger,
        Self::ForgetFact,
        Self::EndUnasked,
        Self::ForgetAggregate,
        Self::ForgetKey,
        Self::StayFull,
        Self::TrustDisk,
        Self::HideRow,
        Self::DoubleRow,
        Self::StaleRead,
        Self::BackInTime,
        Self::TrustGeneration,
        Self::SendOnePartition,
        Self::OldRow,
    ];

    /// Its name in [`VARIABLE`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropRow => "drop-row",
            Self::DoubleSend => "double-send",
            Self::Reorder => "reorder",
            Self::Garble => "garble",
            Self::SkipSync => "skip-sync",
            Self::AckBeforeKafka => "ack-before-kafka",
            Self::DecideTwice => "decide-twice",
            Self::RefuseAndDo => "refuse-and-do",
            Self::SameVersion => "same-version",
            Self::OtherCause => "other-cause",
            Self::TwinKey => "twin-key",
            Self::TrustStranger => "trust-stranger",
            Self::ForgetFact => "forget-fact",
            Self::EndUnasked => "end-unasked",
            Self::ForgetAggregate => "forget-aggregate",
            Self::ForgetKey => "forget-key",
            Self::StayFull => "stay-full",
            Self::TrustDisk => "trust-disk",
            Self::HideRow => "hide-row",
            Self::DoubleRow => "double-row",
            Self::StaleRead => "stale-read",
            Self::BackInTime => "back-in-time",
            Self::TrustGeneration => "trust-generation",
            Self::SendOnePartition => "send-one-partition",
            Self::OldRow => "old-row",
        }
    }
}

/// Whether this fault shall happen here and now. To be asked last, where everything else for it is there: occasions are
/// counted.
#[cfg(feature = "sabotage")]
#[must_use]
pub fn strikes(fault: Fault) -> bool {
    chosen::strikes(fault)
}

/// Whether this fault shall happen here and now: never, in this build.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
#[must_use]
pub const fn strikes(_: Fault) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
    }

    #[test]
    fn nothing_strikes_unless_it_is_asked_for() {
        assert!(Fault::ALL.into_iter().all(|fault| !strikes(fault)));
    }

    /// The compiler sees that it never does.
    #[cfg(not(feature = "sabotage"))]
    const _: () = assert!(!strikes(Fault::DropRow));
}
