//! Harm, chosen from the seed, one after the other, each mended before the next. A replay of D goes on beside them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Fallible;
use crate::report::progress;
use crate::world::{QUERY, World};

/// Longest rest between two faults.
const REST_MS_MAX: u64 = 2_000;
/// Longest time that something is paused or away.
const AWAY_MS_MAX: u64 = 4_000;
/// How often a replay is killed instead of left alone.
const REPLAY_KILLED: f64 = 0.3;
/// How often connections are cut, one time after the other, before they are cut for a while.
const CUTS_MAX: usize = 5;
/// Longest pause between two such cuts.
const CUT_PAUSE_MS_MAX: u64 = 300;
/// Services, for choosing one.
const SERVICES: usize = 4;

/// How often what was done.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

/// Does harm until `duration` has passed or `stop` is set, then leaves everything running.
pub(crate) fn harm(world: &mut World, seed: u64, duration: Duration, stop: &AtomicBool) -> Fallible<Counts> {
    let deadline = Instant::now() + duration;
    let mut random = StdRng::seed_from_u64(seed);
    let mut counts = Counts::new();
    while rest(&mut random, deadline, stop) {
        let name = one(world, &mut random)?;
        *counts.entry(name).or_default() += 1;
        world.look();
    }
    world.cluster.all_up()?;
    world.all_ready()?;
    world.look();
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

fn away(random: &mut StdRng) {
    std::thread::sleep(Duration::from_millis(random.random_range(0..AWAY_MS_MAX)));
}

/// One fault, from its beginning to its mending.
fn one(world: &mut World, random: &mut StdRng) -> Fallible<&'static str> {
    let service = random.random_range(0..SERVICES);
    let broker = random.random_range(1..=world.cluster.brokers);
    // Drawn for every fault, so that the choices do not hang on which fault it was.
    let kind = random.random_range(0..100);
    let name = match kind {
        0..18 => "service killed",
        18..30 => "service killed beside a paused broker",
        30..42 => "service paused",
        42..54 => "broker paused",
        54..62 => "broker killed",
        62..68 => "connections cut",
        68..72 => "all brokers killed",
        72..80 => "service started without Kafka",
        80..92 => "replay of D beside it",
        _ => "D's directory removed",
    };
    progress(&format!("{name}{}", whom(world, kind, service, broker)));
    match kind {
        0..18 => kill_service(world, service, random)?,
        18..30 => kill_beside_paused(world, service, broker, random)?,
        30..42 => pause_service(world, service, random)?,
        42..54 => pause_broker(world, broker, random)?,
        54..62 => kill_broker(world, broker, random)?,
        62..68 => cut_connections(world, broker, random),
        68..72 => kill_all_brokers(world, random)?,
        72..80 => start_without_kafka(world, service, random)?,
        80..92 => replay(world, random),
        _ => remove_read_model(world)?,
    }
    Ok(name)
}

fn whom(world: &World, kind: i32, service: usize, broker: usize) -> String {
    match kind {
        0..42 | 72..80 => {
            world.services.get(service).map_or_else(String::new, |service| format!(": {}", service.name))
        }
        42..68 => format!(": {broker}"),
        _ => String::new(),
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

fn pause_broker(world: &mut World, broker: usize, random: &mut StdRng) -> Fallible<()> {
    world.cluster.broker("pause", broker)?;
    away(random);
    world.cluster.broker("resume", broker)
}

fn kill_broker(world: &mut World, broker: usize, random: &mut StdRng) -> Fallible<()> {
    world.cluster.broker("kill", broker)?;
    away(random);
    world.cluster.all_up()
}

/// Once, or again and again for a while; then nobody gets through for a while.
fn cut_connections(world: &World, broker: usize, random: &mut StdRng) {
    let Some(proxy) = world.cluster.proxy(broker) else { return };
    for _ in 0..random.random_range(1..=CUTS_MAX) {
        proxy.cut();
        proxy.let_through();
        std::thread::sleep(Duration::from_millis(random.random_range(0..CUT_PAUSE_MS_MAX)));
    }
    proxy.cut();
    away(random);
    proxy.let_through();
}

/// SIGKILL to every broker.
pub(crate) fn kill_all(world: &World) -> Fallible<()> {
    (1..=world.cluster.brokers).try_for_each(|broker| world.cluster.broker("kill", broker))
}

fn kill_all_brokers(world: &mut World, random: &mut StdRng) -> Fallible<()> {
    kill_all(world)?;
    away(random);
    world.cluster.all_up()
}

fn start_without_kafka(world: &mut World, service: usize, random: &mut StdRng) -> Fallible<()> {
    world.look();
    kill_all(world)?;
    let restarted = world.service(service)?;
    restarted.kill();
    restarted.start_without_kafka();
    away(random);
    world.cluster.all_up()?;
    world.service(service)?.ready()
}

fn replay(world: &mut World, random: &mut StdRng) {
    world.replays.start();
    if random.random_bool(REPLAY_KILLED) {
        away(random);
        world.look();
        world.replays.kill();
    }
}

fn remove_read_model(world: &mut World) -> Fallible<()> {
    world.look();
    world.replays.kill();
    let read_model = world.read_model();
    let query = world.service(QUERY)?;
    query.kill();
    std::fs::remove_dir_all(&read_model).map_err(|error| format!("{}: {error}", read_model.display()))?;
    query.start();
    query.ready()
}
