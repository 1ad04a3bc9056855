//! Services with faults built in, and the checks that have to find them: a checker that cannot fail is worth nothing.

mod attempt;
mod run;

use system_tests::process::Failpoint;

use crate::world::{ORDERS, PRODUCTS, QUERY, USERS};

pub(crate) use run::{Run, run};

/// One fault, and what has to come of it.
pub(crate) struct Sabotage {
    /// What does harm. Something sound comes before: what follows from a fault is worth more than the fault by itself.
    pub(crate) failpoint: Failpoint,
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
    (name, actions): (&'static str, &'static str),
    service: usize,
    strikes: usize,
    found_by: &'static [&'static str],
) -> Sabotage {
    Sabotage { failpoint: Failpoint { name, actions }, service, strikes, harm: Harm::None, found_by }
}

/// All failpoints. Where service A has one that makes readers stop, C would stop as well; so it
/// is C's own relay that has those.
pub(crate) const ALL: &[Sabotage] = &[
    // The relay leaves an outbox row out.
    sabotage(("drop-row", "30*off->3%return"), ORDERS, 1, &["positions-contiguous", "questions-answered"]),
    // The relay hands a row over twice.
    sabotage(("double-send", "30*off->3%return"), USERS, 2, &["in-the-log-once"]),
    // The relay lets two rows of a partition change places, and does not notice.
    sabotage(("reorder", "3*off->20%return"), ORDERS, 1, &["positions-contiguous"]),
    // The relay hands over bytes that are no event.
    sabotage(("garble", "30*off->3%return"), ORDERS, 1, &["records-readable"]),
    // Commands are answered although their group was not synced.
    Sabotage {
        harm: Harm::KillWithoutKafka,
        ..sabotage(("skip-sync", "10%off->return"), ORDERS, 1, &["acknowledged-once"])
    },
    // Commands are answered before Kafka has acknowledged them, though the service was told to wait for it.
    Sabotage {
        harm: Harm::LoseDiskWithoutKafka,
        ..sabotage(("ack-before-kafka", "return"), ORDERS, 1, &["acknowledged-once"])
    },
    // An idempotency key is not looked up.
    sabotage(("decide-twice", "return"), ORDERS, 5, &["acknowledged-once", "same-key-same-answer"]),
    // A command that took effect is answered with a refusal.
    sabotage(("refuse-and-do", "20*off->4%return"), USERS, 3, &["unacknowledged-at-most-once"]),
    // An event gets the version that its aggregate has already.
    sabotage(("same-version", "20*off->4%return"), USERS, 3, &["versions-contiguous", "order-of-commands"]),
    // An event bears another correlation id than its request.
    sabotage(("other-cause", "20*off->4%return"), PRODUCTS, 1, &["every-event-asked-for"]),
    // A unique key that somebody has is given to somebody else as well.
    sabotage(("twin-key", "return"), USERS, 3, &["emails-unique"]),
    // Another service's aggregate that nobody has heard of counts as present.
    sabotage(("trust-stranger", "return"), ORDERS, 3, &["orders-of-the-known"]),
    // A fact that was followed from another topic is not written.
    sabotage(("forget-fact", "10*off->7%return"), ORDERS, 2, &["c-equals-replay"]),
    // The process ends, and says nothing.
    sabotage(("end-unasked", "30*off->3%return"), PRODUCTS, 1, &["nothing-ended-unasked"]),
    // An index that is built again lacks an aggregate.
    Sabotage {
        harm: Harm::RemoveIndex,
        ..sabotage(("forget-aggregate", "50%return"), USERS, 1, &["known-stays-known"])
    },
    // An index that is built again lacks a unique key, which is free then.
    Sabotage {
        harm: Harm::RemoveIndex,
        ..sabotage(("forget-key", "50%return"), USERS, 1, &["emails-unique"])
    },
    // Commands are still refused after the disk has room again.
    Sabotage {
        harm: Harm::FillDisk,
        ..sabotage(("stay-full", "return"), PRODUCTS, 1, &["full-disk-goes-by"])
    },
    // An index is gone on with although the disk failed while it was written or synced.
    Sabotage {
        harm: Harm::FailIndex,
        ..sabotage(("trust-disk", "return"), ORDERS, 1, &["failed-disk-ends", "index-built-again"])
    },
    // A projected event changes no row.
    sabotage(
        ("hide-row", "10*off->7%return"),
        QUERY,
        20,
        &["d-equals-replay", "users-in-d", "products-in-d"],
    ),
    // What an event adds is added twice.
    sabotage(("double-row", "10*off->7%return"), QUERY, 3, &["d-equals-replay", "users-in-d"]),
    // A read does not wait for its token.
    sabotage(("stale-read", "return"), QUERY, 5, &["reads-see-their-write"]),
    // An answer shows what was there before the last event that it names.
    sabotage(("back-in-time", "5*off->17%return"), QUERY, 20, &["sessions-never-go-back"]),
    // A generation is opened although it is not what was finished.
    Sabotage {
        harm: Harm::DamageGeneration,
        ..sabotage(("trust-generation", "return"), QUERY, 1, &["d-equals-replay"])
    },
    // The relay sends nothing of any partition but the first.
    Sabotage {
        harm: Harm::Watch,
        ..sabotage(("send-one-partition", "return"), ORDERS, 1, &["broker-away-stops-nobody"])
    },
    // An answer shows a row that was kept from before an event that it names.
    sabotage(("old-row", "return"), QUERY, 20, &["sessions-never-go-back"]),
];

/// Names of all faults, for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|sabotage| sabotage.failpoint.name).chain(["all"]).collect()
}
