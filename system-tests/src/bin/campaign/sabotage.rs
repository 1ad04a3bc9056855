//! Services with faults built in, and the checks that have to find them: a checker that cannot fail is worth nothing.

mod attempt;
mod run;

use daybook_service::sabotage::Fault;

use crate::world::{ORDERS, PRODUCTS, QUERY, USERS};

pub(crate) use run::{Run, run};

/// One fault, and what has to come of it.
pub(crate) struct Sabotage {
    /// What goes wrong.
    pub(crate) fault: Fault,
    /// Index of the service that has it.
    service: usize,
    /// How often it has to strike before anybody looks, unless there is harm to wait for.
    strikes: usize,
    /// What is done to the services meanwhile.
    harm: Harm,
    /// Names of the checks, each of which has to find it.
    pub(crate) found_by: &'static [&'static str],
}

/// What is done to the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Nothing.
    None,
    /// The one that has the fault is killed while no broker is there to have what it has acknowledged.
    KillWithoutKafka,
    /// The same, and its disk is lost with it.
    LoseDiskWithoutKafka,
    /// The disk of the one that has the fault has no room for a while.
    FillDisk,
    /// A write or sync of its index fails.
    FailIndex,
    /// Its index is removed.
    RemoveIndex,
    /// A generation is damaged before it opens it.
    DamageGeneration,
    /// Nothing, but for a while nobody may be held up.
    Watch,
}

impl Harm {
    /// Flags of the service that has the fault.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::LoseDiskWithoutKafka => &["--answer-after", "kafka"],
            _ => &[],
        }
    }

    /// Whether there is no Kafka in the end.
    fn is_without_kafka(self) -> bool {
        matches!(self, Self::KillWithoutKafka | Self::LoseDiskWithoutKafka)
    }
}

impl Sabotage {
    /// Whether those that have to find it are among these checks.
    fn is_found_by(&self, checks: &[&str]) -> bool {
        self.found_by.iter().all(|check| checks.contains(check))
    }
}

const fn sabotage(
    fault: Fault,
    service: usize,
    strikes: usize,
    found_by: &'static [&'static str],
) -> Sabotage {
    Sabotage { fault, service, strikes, harm: Harm::None, found_by }
}

/// All faults, in the order of [`Fault::ALL`]. Where service A has one that makes readers stop, C would stop as well; so it
/// is C's own relay that has those.
pub(crate) const ALL: &[Sabotage] = &[
    sabotage(Fault::DropRow, ORDERS, 1, &["positions-contiguous", "questions-answered"]),
    sabotage(Fault::DoubleSend, USERS, 2, &["in-the-log-once"]),
    sabotage(Fault::Reorder, ORDERS, 1, &["positions-contiguous"]),
    sabotage(Fault::Garble, ORDERS, 1, &["records-readable"]),
    Sabotage { harm: Harm::KillWithoutKafka, ..sabotage(Fault::SkipSync, ORDERS, 1, &["acknowledged-once"]) },
    Sabotage {
        harm: Harm::LoseDiskWithoutKafka,
        ..sabotage(Fault::AckBeforeKafka, ORDERS, 1, &["acknowledged-once"])
    },
    sabotage(Fault::DecideTwice, ORDERS, 5, &["acknowledged-once", "same-key-same-answer"]),
    sabotage(Fault::RefuseAndDo, USERS, 3, &["unacknowledged-at-most-once"]),
    sabotage(Fault::SameVersion, USERS, 3, &["versions-contiguous", "order-of-commands"]),
    sabotage(Fault::OtherCause, PRODUCTS, 1, &["every-event-asked-for"]),
    sabotage(Fault::TwinKey, USERS, 3, &["emails-unique"]),
    sabotage(Fault::TrustStranger, ORDERS, 3, &["orders-of-the-known"]),
    sabotage(Fault::ForgetFact, ORDERS, 2, &["c-equals-replay"]),
    sabotage(Fault::EndUnasked, PRODUCTS, 1, &["nothing-ended-unasked"]),
    Sabotage {
        harm: Harm::RemoveIndex,
        ..sabotage(Fault::ForgetAggregate, USERS, 1, &["known-stays-known"])
    },
    Sabotage { harm: Harm::RemoveIndex, ..sabotage(Fault::ForgetKey, USERS, 1, &["emails-unique"]) },
    Sabotage { harm: Harm::FillDisk, ..sabotage(Fault::StayFull, PRODUCTS, 1, &["full-disk-goes-by"]) },
    Sabotage {
        harm: Harm::FailIndex,
        ..sabotage(Fault::TrustDisk, ORDERS, 1, &["failed-disk-ends", "index-built-again"])
    },
    sabotage(Fault::HideRow, QUERY, 20, &["d-equals-replay", "users-in-d", "products-in-d"]),
    sabotage(Fault::DoubleRow, QUERY, 3, &["d-equals-replay", "users-in-d"]),
    sabotage(Fault::StaleRead, QUERY, 5, &["reads-see-their-write"]),
    sabotage(Fault::BackInTime, QUERY, 20, &["sessions-never-go-back"]),
    Sabotage {
        harm: Harm::DamageGeneration,
        ..sabotage(Fault::TrustGeneration, QUERY, 1, &["d-equals-replay"])
    },
    Sabotage {
        harm: Harm::Watch,
        ..sabotage(Fault::SendOnePartition, ORDERS, 1, &["broker-away-stops-nobody"])
    },
    sabotage(Fault::OldRow, QUERY, 20, &["sessions-never-go-back"]),
];

/// Names of all faults, for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|sabotage| sabotage.fault.name()).chain(["all"]).collect()
}
