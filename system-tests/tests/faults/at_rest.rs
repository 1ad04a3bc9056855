//! Damage while nobody looks: flipped bits, zeroed pages, files that were cut or are gone, then a start.

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::cases;
use crate::damage::{Kind, PLACES, damage};
use crate::verdict::{assert_allowed, judge};
use crate::world::{Kafka, World, stopped};

/// Users of each process that had the directory before.
const USERS: usize = 8;

#[test]
fn a_flipped_bit_loses_nothing_or_is_named() {
    cases(Kind::FlippedBit);
}

#[test]
fn a_zeroed_page_loses_nothing_or_is_named() {
    cases(Kind::ZeroedPage);
}

#[test]
fn a_file_that_was_cut_loses_nothing_or_is_named() {
    cases(Kind::Cut);
}

#[test]
fn a_lost_file_loses_nothing_or_is_named() {
    cases(Kind::Lost);
}

/// Each place in turn, with all in Kafka and not.
fn cases(kind: Kind) {
    cases::each(kind as u64 + 10, |case, random| {
        let place = PLACES[case as usize % PLACES.len()];
        let kafka = if case / 4 % 2 == 0 { Kafka::Away } else { Kafka::There };
        let mut world = lived_in(kafka, random);
        let done = damage(&world.store(), kind, place, random);
        eprintln!("case {case}: {done}, Kafka was {kafka:?}");
        let verdict = judge(&mut world);
        eprintln!("case {case}: {}", verdict.short());
        assert_allowed(&done, &verdict);
    });
}

/// A directory that three processes have had, the last of which was killed or stopped.
pub(crate) fn lived_in(kafka: Kafka, random: &mut StdRng) -> World {
    let mut world = World::new();
    let mut process = world.start(Kafka::There, &[]);
    world.fill(process.address(), USERS);
    stopped(process);
    for last in [false, true] {
        let mut process = world.start(kafka, &[]);
        world.fill(process.address(), USERS);
        if last && random.random_bool(0.7) { process.kill() } else { drop(stopped(process)) }
    }
    world
}
