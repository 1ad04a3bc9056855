//! Harm to brokers, and to the connections to them.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::away;
use crate::Fallible;
use crate::world::World;

/// How often connections are cut, one time after the other, before they are cut for a while.
const CUTS_MAX: usize = 5;
/// Longest pause between two such cuts.
const CUT_PAUSE_MS_MAX: u64 = 300;
/// How long one broker of three is away, in a campaign that is long enough; no less than this in a shorter one.
const AWAY_LONG: (Duration, Duration) = (Duration::from_secs(35), Duration::from_secs(60));
/// How long after a broker's death others may need to lead its partitions, and clients to find that out.
const ELECTION_MAX: Duration = Duration::from_secs(20);

pub(super) fn pause(world: &mut World, broker: usize, random: &mut StdRng) -> Fallible<()> {
    world.cluster.broker("pause", broker)?;
    away(random);
    world.cluster.broker("resume", broker)
}

pub(super) fn kill(world: &mut World, broker: usize, random: &mut StdRng) -> Fallible<()> {
    world.cluster.broker("kill", broker)?;
    away(random);
    world.cluster.all_up()
}

/// Once, or again and again for a while; then nobody gets through for a while.
pub(super) fn cut_connections(world: &World, broker: usize, random: &mut StdRng) {
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

pub(super) fn kill_all_for_a_while(world: &mut World, random: &mut StdRng) -> Fallible<()> {
    kill_all(world)?;
    away(random);
    world.cluster.all_up()
}

/// So long that the others have taken over long before it is back: nobody may be held up by then.
pub(super) fn away_for_long(world: &mut World, broker: usize, campaign: Duration) -> Fallible<()> {
    let (least, most) = AWAY_LONG;
    world.cluster.broker("kill", broker)?;
    std::thread::sleep(ELECTION_MAX);
    watch(world, (campaign / 4).clamp(least, most) - ELECTION_MAX);
    world.cluster.all_up()
}

/// Lets clients work, and notes that nobody may be held up meanwhile.
pub(crate) fn watch(world: &mut World, time: Duration) {
    let from = Instant::now();
    std::thread::sleep(time);
    world.quiet.push((from, Instant::now()));
}
