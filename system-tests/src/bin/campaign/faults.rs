//! Harm, chosen from the seed, one after the other, each mended before the next. A replay of D goes on beside them.

pub(crate) mod brokers;
pub(crate) mod disks;
pub(crate) mod read_model;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::Fallible;
use crate::evidence::Part;
use crate::report::progress;
use crate::world::{QUERY, World};

/// Longest rest between two faults.
const REST_MS_MAX: u64 = 2_000;
/// Longest time that something is paused or away.
const AWAY_MS_MAX: u64 = 4_000;
/// Brokers of which one may be away while the others go on.
const BROKERS_ENOUGH: usize = 3;
/// Services, for choosing one.
const SERVICES: usize = 4;

/// A kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ServiceKilled,
    ServiceKilledBesidePausedBroker,
    ServicePaused,
    BrokerPaused,
    BrokerKilled,
    ConnectionsCut,
    AllBrokersKilled,
    ServiceStartedWithoutKafka,
    Replay,
    ReadModelRemoved,
    DiskFull,
    JournalFailed,
    IndexFailed,
    IndexDamaged,
    IndexRemoved,
    BrokerAway,
    GenerationDamaged,
    QueryRestartedBesideProjector,
}

impl Kind {
    /// Each with how many of a hundred faults are of it, once every kind has been there.
    const ALL: [(Self, usize); 18] = [
        (Self::ServiceKilled, 13),
        (Self::ServiceKilledBesidePausedBroker, 9),
        (Self::ServicePaused, 7),
        (Self::BrokerPaused, 7),
        (Self::BrokerKilled, 6),
        (Self::ConnectionsCut, 5),
        (Self::AllBrokersKilled, 4),
        (Self::ServiceStartedWithoutKafka, 6),
        (Self::Replay, 7),
        (Self::ReadModelRemoved, 5),
        (Self::DiskFull, 5),
        (Self::JournalFailed, 4),
        (Self::IndexFailed, 4),
        (Self::IndexDamaged, 5),
        (Self::IndexRemoved, 4),
        (Self::BrokerAway, 2),
        (Self::GenerationDamaged, 4),
        (Self::QueryRestartedBesideProjector, 3),
    ];

    /// Whether it is done to the disk of a service that takes commands.
    fn is_of_a_disk(self) -> bool {
        use Kind::{DiskFull, IndexDamaged, IndexFailed, IndexRemoved, JournalFailed};
        matches!(self, DiskFull | JournalFailed | IndexFailed | IndexDamaged | IndexRemoved)
    }

    /// Those that there can be with so many brokers.
    fn all(brokers: usize) -> impl Iterator<Item = (Self, usize)> {
        Self::ALL.into_iter().filter(move |(kind, _)| *kind != Self::BrokerAway || brokers >= BROKERS_ENOUGH)
    }

    fn name(self) -> &'static str {
        match self {
            Self::ServiceKilled => "service killed",
            Self::ServiceKilledBesidePausedBroker => "service killed beside a paused broker",
            Self::ServicePaused => "service paused",
            Self::BrokerPaused => "broker paused",
            Self::BrokerKilled => "broker killed",
            Self::ConnectionsCut => "connections cut",
            Self::AllBrokersKilled => "all brokers killed",
            Self::ServiceStartedWithoutKafka => "service started without Kafka",
            Self::Replay => "replay of D beside it",
            Self::ReadModelRemoved => "D's directory removed",
            Self::DiskFull => "disk full",
            Self::JournalFailed => "journal failed",
            Self::IndexFailed => "index failed",
            Self::IndexDamaged => "index damaged",
            Self::IndexRemoved => "index removed",
            Self::BrokerAway => "broker away for long",
            Self::GenerationDamaged => "generation damaged before its first opening",
            Self::QueryRestartedBesideProjector => "D restarted beside a projector",
        }
    }
}

/// Which kind of harm comes next: each once before any comes twice, so that a short campaign leaves none out.
struct Kinds {
    /// Those that have not been there yet.
    outstanding: Vec<Kind>,
    /// Each as often as it is to be drawn.
    drawn_from: Vec<Kind>,
}

impl Kinds {
    fn new(brokers: usize) -> Self {
        let drawn_from = Kind::all(brokers).flat_map(|(kind, share)| std::iter::repeat_n(kind, share));
        Self {
            outstanding: Kind::all(brokers).map(|(kind, _)| kind).collect(),
            drawn_from: drawn_from.collect(),
        }
    }

    /// How long to go on when `duration` is wanted.
    fn patience(&self, duration: Duration) -> Duration {
        if self.outstanding.is_empty() { duration } else { 3 * duration }
    }

    /// `None` only if there were no kinds.
    fn next(&mut self, random: &mut StdRng) -> Option<Kind> {
        if self.outstanding.is_empty() {
            return self.drawn_from.choose(random).copied();
        }
        let index = random.random_range(0..self.outstanding.len());
        Some(self.outstanding.swap_remove(index))
    }
}

/// How often what was done.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

/// Does harm until `duration` has passed or `stop` is set, then leaves everything running. Goes on for up to three times as long
/// while a kind of fault has not been there yet.
pub(crate) fn harm(world: &mut World, seed: u64, duration: Duration, stop: &AtomicBool) -> Fallible<Counts> {
    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    // Those that were never reached are told, too.
    let brokers = world.cluster.brokers;
    let mut counts: Counts = Kind::all(brokers).map(|(kind, _)| (kind.name(), 0)).collect();
    let mut kinds = Kinds::new(brokers);
    while rest(&mut random, began + kinds.patience(duration), stop)
        && let Some(kind) = kinds.next(&mut random)
    {
        one(kind, world, &mut random, duration)?;
        *counts.entry(kind.name()).or_default() += 1;
        world.look();
    }
    world.cluster.all_up()?;
    world.all_ready()?;
    world.look();
    // Nothing shall move when D is looked at in the end.
    world.projectors.kill();
    Ok(counts)
}

/// Only waits: a campaign without faults.
pub(crate) fn watch(world: &mut World, duration: Duration, stop: &AtomicBool) -> Fallible<Counts> {
    const LOOK: Duration = Duration::from_millis(200);
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        world.look();
    }
    Ok(Counts::new())
}

fn rest(random: &mut StdRng, deadline: Instant, stop: &AtomicBool) -> bool {
    let rest = Duration::from_millis(random.random_range(0..REST_MS_MAX));
    std::thread::sleep(rest.min(deadline.saturating_duration_since(Instant::now())));
    Instant::now() < deadline && !stop.load(Ordering::Relaxed)
}

fn a_while(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(0..AWAY_MS_MAX))
}

fn away(random: &mut StdRng) {
    std::thread::sleep(a_while(random));
}

/// One fault, from its beginning to its mending.
fn one(kind: Kind, world: &mut World, random: &mut StdRng, campaign: Duration) -> Fallible<()> {
    // Drawn for every fault, so that the choices do not hang on which fault it was.
    let service = random.random_range(0..SERVICES);
    let (writer, broker) = (random.random_range(0..QUERY), random.random_range(1..=world.cluster.brokers));
    let service = if kind.is_of_a_disk() { writer } else { service };
    progress(&format!("{}{}", kind.name(), whom(world, kind, service, broker)));
    match kind {
        Kind::ServiceKilled => kill_service(world, service, random),
        Kind::ServiceKilledBesidePausedBroker => kill_beside_paused(world, service, broker, random),
        Kind::ServicePaused => pause_service(world, service, random),
        Kind::BrokerPaused => brokers::pause(world, broker, random),
        Kind::BrokerKilled => brokers::kill(world, broker, random),
        Kind::ConnectionsCut => {
            brokers::cut_connections(world, broker, random);
            Ok(())
        }
        Kind::AllBrokersKilled => brokers::kill_all_for_a_while(world, random),
        Kind::ServiceStartedWithoutKafka => start_without_kafka(world, service, random),
        Kind::Replay => {
            read_model::replay(world, random);
            Ok(())
        }
        Kind::ReadModelRemoved => read_model::remove(world),
        Kind::DiskFull => disks::fill(world, service, a_while(random)),
        Kind::JournalFailed => disks::fail(world, service, Part::Journal, random),
        Kind::IndexFailed => disks::fail(world, service, Part::Index, random),
        Kind::IndexDamaged => disks::damage_index(world, service, random),
        Kind::IndexRemoved => disks::remove_index(world, service),
        Kind::BrokerAway => brokers::away_for_long(world, broker, campaign),
        Kind::GenerationDamaged => read_model::damage_generation(world, random),
        Kind::QueryRestartedBesideProjector => read_model::restart_beside_projector(world, random),
    }
}

fn whom(world: &World, kind: Kind, service: usize, broker: usize) -> String {
    match kind {
        Kind::ServiceKilled
        | Kind::ServiceKilledBesidePausedBroker
        | Kind::ServicePaused
        | Kind::ServiceStartedWithoutKafka
        | Kind::DiskFull
        | Kind::JournalFailed
        | Kind::IndexFailed
        | Kind::IndexDamaged
        | Kind::IndexRemoved => {
            world.services.get(service).map_or_else(String::new, |service| format!(": {}", service.name))
        }
        Kind::BrokerPaused | Kind::BrokerKilled | Kind::ConnectionsCut | Kind::BrokerAway => {
            format!(": {broker}")
        }
        Kind::AllBrokersKilled
        | Kind::Replay
        | Kind::ReadModelRemoved
        | Kind::GenerationDamaged
        | Kind::QueryRestartedBesideProjector => String::new(),
    }
}

fn kill_service(world: &mut World, service: usize, random: &mut StdRng) -> Fallible<()> {
    world.look();
    let service = world.service(service)?;
    service.kill();
    if random.random_bool(0.5) {
        away(random);
    }
    service.start();
    service.ready()
}

/// What the service has sent lies in the broker's sockets while its successor starts: it must not be there twice.
fn kill_beside_paused(world: &mut World, service: usize, broker: usize, random: &mut StdRng) -> Fallible<()> {
    world.look();
    world.cluster.broker("pause", broker)?;
    away(random);
    let killed = world.service(service)?;
    killed.kill();
    killed.start_without_kafka();
    away(random);
    world.cluster.broker("resume", broker)?;
    world.service(service)?.ready()
}

fn pause_service(world: &mut World, service: usize, random: &mut StdRng) -> Fallible<()> {
    let service = world.service(service)?;
    service.signal(libc::SIGSTOP);
    away(random);
    service.signal(libc::SIGCONT);
    Ok(())
}

fn start_without_kafka(world: &mut World, service: usize, random: &mut StdRng) -> Fallible<()> {
    world.look();
    brokers::kill_all(world)?;
    let restarted = world.service(service)?;
    restarted.kill();
    restarted.start_without_kafka();
    away(random);
    world.cluster.all_up()?;
    world.service(service)?.ready()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_comes_once_before_any_comes_twice_and_is_waited_for() {
        for seed in 0..100 {
            let (mut kinds, mut random) = (Kinds::new(3), StdRng::seed_from_u64(seed));
            assert_eq!(kinds.patience(Duration::from_secs(60)), Duration::from_secs(180));
            let first: Vec<Kind> = Kind::ALL.iter().filter_map(|_| kinds.next(&mut random)).collect();
            assert!(Kind::ALL.iter().all(|(kind, _)| first.contains(kind)), "{first:?} of seed {seed}");
            assert!(kinds.next(&mut random).is_some());
            assert_eq!(kinds.patience(Duration::from_secs(60)), Duration::from_secs(60));
        }
    }

    #[test]
    fn one_broker_alone_is_never_away_for_long() {
        let kinds = Kinds::new(1);
        assert!(!kinds.outstanding.contains(&Kind::BrokerAway));
        assert!(!kinds.drawn_from.contains(&Kind::BrokerAway));
    }

    #[test]
    fn the_shares_of_the_kinds_are_hundredths() {
        assert_eq!(Kinds::new(3).drawn_from.len(), 100);
    }
}
